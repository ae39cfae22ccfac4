// What the stand-ins do wrong on request: RINGTAP_STANDIN="slots=64,version=22" in the environment, read at each open.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace ringtap::standin {

inline std::optional<long> asked_for(const std::string& name) {
  const char* text = std::getenv("RINGTAP_STANDIN");
  if (text == nullptr) return std::nullopt;
  const std::string all = "," + std::string(text) + ",";
  const size_t at = all.find("," + name + "=");
  if (at == std::string::npos) return std::nullopt;
  return std::strtol(all.c_str() + at + name.size() + 2, nullptr, 10);
}

}  // namespace ringtap::standin
