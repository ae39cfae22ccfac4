// The bytes of a trace, decompressed where they are compressed.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "core/source.h"
#include "io/decompressing_input.h"
#include "io/file_input.h"
#ifndef _WIN32
#include "io/connection.h"
#endif

namespace ringtap::file {

inline Result<std::unique_ptr<Input>> open_bytes(const std::string& path, const OpenRequest& request,
                                                 const std::shared_ptr<Tail>& tail = nullptr, Parts parts = {}) {
#ifndef _WIN32
  auto opened = request.connection != nullptr ? connection_input(request.connection) : open_input(path, tail);
#else
  auto opened = open_input(path, tail);
#endif
  if (!opened) return opened;
  const int64_t most_window = std::max<int64_t>(request.options.integer("windowBytes", int64_t{kMostWindow}), 0);
  return decompressed(*std::move(opened), static_cast<uint64_t>(most_window), std::move(parts));
}

}  // namespace ringtap::file
