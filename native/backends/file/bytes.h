// The bytes of a trace, decompressed where they are compressed.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "core/source.h"
#include "io/decompressing_input.h"
#include "io/file_input.h"

namespace ringtap::file {

inline Result<std::unique_ptr<Input>> open_bytes(const std::string& path, const OpenRequest& request,
                                                 const std::shared_ptr<Tail>& tail = nullptr, Parts parts = {}) {
  auto opened = open_input(path, tail);
  if (!opened) return opened;
  const int64_t most_window = std::max<int64_t>(request.options.integer("windowBytes", int64_t{kMostWindow}), 0);
  return decompressed(*std::move(opened), static_cast<uint64_t>(most_window), std::move(parts));
}

}  // namespace ringtap::file
