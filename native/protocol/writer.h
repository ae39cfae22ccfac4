// An event as JSON, and the one place where bytes that are no text are escaped.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flow/text_writer.h"
#include "protocol/reader.h"

namespace ringtap::protocol {

/// Names of fields with their types, out of the tables: generated/<name>_fields.inc.
struct TextKey {
  std::string_view json;
};
struct NumberKey {
  std::string_view json;
};
struct FlagKey {
  std::string_view json;
};
struct ObjectKey {
  std::string_view json;
};
struct ListKey {
  std::string_view json;
};

/// Text that is written as it comes: names of ours, and what was made of numbers.
class Writer {
 public:
  /// Beyond, lists end; what one element adds is bounded by its message.
  static constexpr size_t kEnough = 64 << 10;
  /// Of a text that comes from a packet.
  static constexpr size_t kLongestText = 8192;

  void clear() noexcept {
    size_ = 0;
    was_cut_ = false;
  }
  std::string_view text() const noexcept { return {buffer_.data(), size_}; }
  /// False: it is long enough, and what is left out is told as `truncated`.
  bool has_room() noexcept {
    if (size_ < kEnough) return true;
    was_cut_ = true;
    return false;
  }
  bool was_cut() const noexcept { return was_cut_; }
  void mark_cut() noexcept { was_cut_ = true; }

  // Bytes of a packet.
  void put(TextKey key, Span bytes) {
    name(key.json);
    quoted(bytes);
  }
  void add(Span bytes) {
    comma();
    quoted(bytes);
  }
  // Text of ours.
  void put(TextKey key, std::string_view text) { put(key, span_of(text)); }
  void add(std::string_view text) { add(span_of(text)); }
  void put(TextKey key, const std::string& text) { put(key, std::string_view(text)); }
  void put(TextKey key, const char* text) { put(key, std::string_view(text)); }
  void put(NumberKey key, uint64_t value) {
    name(key.json);
    digits(value);
  }
  void add(uint64_t value) {
    comma();
    digits(value);
  }
  void put(FlagKey key, bool value) {
    name(key.json);
    raw(value ? "true" : "false");
  }
  void put_hex(TextKey key, Span bytes, char between = 0);
  void put_address(TextKey key, Span bytes);  // 4 or 16 bytes
  void add_address(Span bytes);
  void address(Span bytes);  // with quotation marks, as a value
  void put_time(TextKey key, int64_t ns);
  /// "%.6f" of a number of seconds in ns.
  void put_seconds(NumberKey key, int64_t ns);

  void open(ObjectKey key) {
    name(key.json);
    raw("{");
  }
  void open() {
    comma();
    raw("{");
  }
  void close() { raw("}"); }
  void list(ListKey key) {
    name(key.json);
    raw("[");
  }
  void end_list() { raw("]"); }

  void raw(std::string_view text) {
    reserve(text.size());
    std::memcpy(buffer_.data() + size_, text.data(), text.size());
    size_ += text.size();
  }
  /// With quotation marks. What is no UTF-8, and what a terminal would obey, is \xNN, and so is a backslash.
  void quoted(Span bytes);
  void digits(uint64_t value);
  /// For what flow::TextWriter writes: at most 64 bytes.
  template <class Write>
  void with(Write&& write) {
    reserve(64);
    flow::TextWriter out(buffer_.data() + size_);
    write(out);
    size_ = static_cast<size_t>(out.at() - buffer_.data());
  }

 private:
  void name(std::string_view json) {
    comma();
    raw(json);
  }
  void comma() {
    if (size_ == 0) return;
    const char last = buffer_[size_ - 1];
    if (last != '{' && last != '[') raw(",");
  }
  void reserve(size_t more) {
    if (buffer_.size() - size_ < more) buffer_.resize((size_ + more) * 2);
  }

  std::vector<char> buffer_ = std::vector<char>(4096);
  size_t size_ = 0;
  bool was_cut_ = false;
};

}  // namespace ringtap::protocol
