// Numbers, times and addresses as text, into memory that is large enough.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "decode/headers.h"

namespace ringtap::flow {

class TextWriter {
 public:
  explicit TextWriter(char* at) noexcept : at_(at) {}

  char* at() const noexcept { return at_; }

  void put(std::string_view text) noexcept {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void put(char c) noexcept { *at_++ = c; }

  void number(uint64_t value) noexcept { at_ = std::to_chars(at_, at_ + 20, value).ptr; }
  /// A whole number that JavaScript may have written; what is none is 0.
  void number(double value) noexcept {
    constexpr double kMost = 18446744073709549568.0;
    number(value > 0 && value < kMost ? static_cast<uint64_t>(value) : uint64_t{0});
  }
  void hex(uint8_t value) noexcept {
    constexpr std::string_view kDigits = "0123456789abcdef";
    put(kDigits[value >> 4]);
    put(kDigits[value & 15]);
  }

  void ipv4(uint32_t address) noexcept {
    for (int shift = 24; shift >= 0; shift -= 8) {
      octet(address >> shift & 255);
      if (shift > 0) put('.');
    }
  }

  /// As RFC 5952 has it.
  void ipv6(const decode::Address6& address) noexcept {
    uint16_t groups[8];
    for (size_t i = 0; i < 8; i++) {
      groups[i] = static_cast<uint16_t>(std::to_integer<unsigned>(address[2 * i]) << 8 |
                                        std::to_integer<unsigned>(address[2 * i + 1]));
    }
    int best = -1;
    int length = 1;
    for (int i = 0; i < 8; i++) {
      int run = 0;
      while (i + run < 8 && groups[i + run] == 0) run++;
      if (run > length) {
        best = i;
        length = run;
      }
      i += run;
    }
    const bool is_mapped = best == 0 && length == 5 && groups[5] == 0xffff;
    const bool has_dots = is_mapped || (best == 0 && length == 6);
    for (int i = 0; i < (has_dots ? 6 : 8); i++) {
      if (i == best) {
        put("::");
        i += length - 1;
        continue;
      }
      if (i > 0 && i != best + (best >= 0 ? length : 0)) put(':');
      at_ = std::to_chars(at_, at_ + 4, groups[i], 16).ptr;
    }
    if (!has_dots) return;
    if (is_mapped) put(':');
    ipv4(uint32_t{groups[6]} << 16 | groups[7]);
  }

  /// "2026-11-30T19:00:00.123456+0000", as EVE has it. @param ns since 1970
  void time(int64_t ns) noexcept {
    constexpr int64_t kSecond = 1'000'000'000;
    int64_t second = ns / kSecond;
    if (ns % kSecond < 0) second--;
    if (second != second_) set_second(second);
    std::memcpy(at_, text_, kSecondBytes);
    at_ += kSecondBytes;
    put('.');
    auto micros = static_cast<uint32_t>((ns - second * kSecond) / 1000);
    for (int i = 5; i >= 0; i--) {
      at_[i] = static_cast<char>('0' + micros % 10);
      micros /= 10;
    }
    at_ += 6;
    put("+0000");
  }

 private:
  static constexpr size_t kSecondBytes = 19;

  void octet(uint32_t value) noexcept {
    if (value >= 100) put(static_cast<char>('0' + value / 100));
    if (value >= 10) put(static_cast<char>('0' + value / 10 % 10));
    put(static_cast<char>('0' + value % 10));
  }

  void digits(char* at, int64_t value, int count) noexcept {
    for (int i = count - 1; i >= 0; i--) {
      at[i] = static_cast<char>('0' + value % 10);
      value /= 10;
    }
  }

  /// Years 0 to 9999: others are written as the nearest of them.
  void set_second(int64_t second) noexcept {
    second_ = second;
    const int64_t kept = std::clamp<int64_t>(second, -62'167'219'200, 253'402'300'799);
    int64_t day = kept / 86'400;
    int64_t rest = kept % 86'400;
    if (rest < 0) {
      rest += 86'400;
      day--;
    }
    // Howard Hinnant's civil_from_days.
    const int64_t z = day + 719'468;
    const int64_t era = (z >= 0 ? z : z - 146'096) / 146'097;
    const int64_t doe = z - era * 146'097;
    const int64_t yoe = (doe - doe / 1460 + doe / 36'524 - doe / 146'096) / 365;
    const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const int64_t mp = (5 * doy + 2) / 153;
    const int64_t month = mp < 10 ? mp + 3 : mp - 9;
    std::memcpy(text_, "0000-00-00T00:00:00", kSecondBytes);
    digits(text_, yoe + era * 400 + (month <= 2 ? 1 : 0), 4);
    digits(text_ + 5, month, 2);
    digits(text_ + 8, doy - (153 * mp + 2) / 5 + 1, 2);
    digits(text_ + 11, rest / 3600, 2);
    digits(text_ + 14, rest / 60 % 60, 2);
    digits(text_ + 17, rest % 60, 2);
  }

  char* at_;
  int64_t second_ = INT64_MIN;
  char text_[kSecondBytes];
};

}  // namespace ringtap::flow
