// Options of an open request. TypeScript has validated names, types and ranges against the schema
// (backend.json); backends check again only what could corrupt memory.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace ringtap {

class Options {
 public:
  using Value = std::variant<bool, double, std::string, std::vector<double>>;

  void set(std::string name, Value value) { values_[std::move(name)] = std::move(value); }
  bool has(const std::string& name) const { return values_.count(name) != 0; }
  /// The name of an option whose text a C string would cut short, or nullptr.
  const std::string* cut() const {
    for (const auto& [name, value] : values_) {
      const auto* text = std::get_if<std::string>(&value);
      if (text != nullptr && text->find('\0') != std::string::npos) return &name;
    }
    return nullptr;
  }

  bool flag(const std::string& name, bool otherwise = false) const { return get<bool>(name, otherwise); }
  double number(const std::string& name, double otherwise = 0) const { return get<double>(name, otherwise); }
  int64_t integer(const std::string& name, int64_t otherwise = 0) const {
    return static_cast<int64_t>(get<double>(name, static_cast<double>(otherwise)));
  }
  std::string text(const std::string& name, std::string otherwise = {}) const {
    return get<std::string>(name, std::move(otherwise));
  }
  std::vector<double> list(const std::string& name) const { return get<std::vector<double>>(name, {}); }

 private:
  template <class T>
  T get(const std::string& name, T otherwise) const {
    const auto found = values_.find(name);
    if (found == values_.end()) return otherwise;
    const T* value = std::get_if<T>(&found->second);
    return value != nullptr ? *value : otherwise;
  }

  std::map<std::string, Value> values_;
};

}  // namespace ringtap
