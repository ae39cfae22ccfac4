// What the files of Readers know of sockets.
#pragma once

#ifndef _WIN32

#include <sys/socket.h>

#include <cstdint>

namespace ringtap {

#ifdef MSG_NOSIGNAL
inline constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
inline constexpr int kSendFlags = MSG_DONTWAIT;
#endif

/// Bytes that the other end's system has, of a connection that tells; `least` where it does not.
uint64_t acknowledged(int fd, uint64_t least);

}  // namespace ringtap

#endif
