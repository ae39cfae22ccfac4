// Names of files that follow each other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/error.h"

namespace ringtap {

/// What the files of one pattern are called: with conversions of strftime(3) in it, by the local time that each begins
/// at; with none, by a number and that time, as dumpcap does: `a.pcap` makes a_00001_20261130101500.pcap.
class FileNames {
 public:
  /// `many`: several may begin in one second, so that the number is part of every name.
  FileNames(const std::string& pattern, bool many);

  /// What is wrong with the pattern, for files that begin `period_s` apart (0: not by the time) and are kept for
  /// `kept_s` (0: for good). `overwrite`: a name that comes again is meant to.
  std::optional<Error> check(int64_t period_s, int64_t kept_s, bool overwrite) const;

  std::string name(int64_t unix_s, uint64_t number) const { return name(unix_s, number, true); }

  /// The same, told apart from a file that exists.
  std::string another(const std::string& name, uint64_t number) const;

 private:
  std::string name(int64_t unix_s, uint64_t number, bool local) const;

  std::string pattern_;
  std::string suffix_;    // from its last dot on, and the one before that of a compression
  std::string original_;  // as it was given
  bool timed_ = false;    // it has conversions of its own
  bool numbered_ = false;
};

}  // namespace ringtap
