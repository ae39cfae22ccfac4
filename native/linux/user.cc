#include "linux/user.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <vector>

#include "linux/rights.h"

namespace ringtap {
namespace {

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
};

constexpr uint32_t bit(Capability capability) noexcept { return uint32_t{1} << static_cast<unsigned>(capability); }
/// Of capabilities there are no more than these, in any kernel.
constexpr unsigned long kNumbers = 64;
constexpr uint32_t kKept = bit(Capability::kNetAdmin) | bit(Capability::kNetRaw);

Result<User> user_of(const std::string& name) {
  std::vector<char> memory(1 << 16);
  passwd entry{};
  passwd* found = nullptr;
  const int err = getpwnam_r(name.c_str(), &entry, memory.data(), memory.size(), &found);
  if (found == nullptr) {
    Error error{.code = Code::kBadOption, .message = "there is no user " + name, .hint = "getent passwd lists them."};
    if (err != 0) error.err = err;
    return error;
  }
  if (entry.pw_uid == 0) {
    return Error{.code = Code::kBadOption,
                 .message = name + " is root, and loses no right",
                 .hint = "Name a user that is made for this: useradd --system --shell /usr/sbin/nologin ringtap."};
  }
  return User{.uid = entry.pw_uid, .gid = entry.pw_gid};
}

Error refused(const std::string& name, const char* call) {
  Error error = system_error(Code::kNoPermission, "the process cannot become " + name, call, errno);
  error.hint =
      "Start it as root; or as that user in the first place, with the capabilities CAP_NET_RAW and "
      "CAP_NET_ADMIN, as the systemd unit in contrib does.";
  return error;
}

/// Of this thread. They are what is effective and what can become so, and nobody inherits them.
bool limit_to(uint32_t capabilities) noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  data[0].effective = data[0].permitted = capabilities;
  return syscall(SYS_capset, &header, data) == 0;
}

/// Of this thread and those that it starts: what they can never have again, whatever program they run. While it is
/// root.
bool bound_to(uint64_t capabilities) noexcept {
  for (unsigned long one = 0; one < kNumbers; one++) {
    if ((capabilities >> one & 1) != 0) continue;
    // The first that the kernel does not know is EINVAL.
    if (prctl(PR_CAPBSET_DROP, one, 0L, 0L, 0L) != 0) return errno == EINVAL && one > 0;
  }
  return true;
}

bool is_bound_to(uint64_t capabilities) noexcept {
  for (unsigned long one = 0; one < kNumbers; one++) {
    if ((capabilities >> one & 1) == 0 && prctl(PR_CAPBSET_READ, one, 0L, 0L, 0L) == 1) return false;
  }
  return true;
}

bool is_only(const User& user) noexcept {
  uid_t uids[3] = {};
  gid_t gids[3] = {};
  if (getresuid(&uids[0], &uids[1], &uids[2]) != 0 || getresgid(&gids[0], &gids[1], &gids[2]) != 0) return false;
  for (int i = 0; i < 3; i++) {
    if (uids[i] != user.uid || gids[i] != user.gid) return false;
  }
  // Nor can it go back.
  if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0) return false;
  return surroundings().effective == kKept && is_bound_to(kKept);
}

}  // namespace

Result<Ok> become_user(const std::string& name) {
  const auto user = user_of(name);
  if (!user) return user.error();
  if (geteuid() != 0) {
    errno = EPERM;
    return refused(name, "setuid");
  }
  // WHY in this order: who is not root any more cannot choose groups; and what capturing takes is kept through
  // setuid().
  if (!bound_to(kKept)) return refused(name, "prctl");
  if (initgroups(name.c_str(), user->gid) != 0) return refused(name, "setgroups");
  if (setresgid(user->gid, user->gid, user->gid) != 0) return refused(name, "setgid");
  if (prctl(PR_SET_KEEPCAPS, 1L, 0L, 0L, 0L) != 0) return refused(name, "prctl");
  if (setresuid(user->uid, user->uid, user->uid) != 0) return refused(name, "setuid");
  if (!limit_to(kKept)) return refused(name, "capset");
  if (prctl(PR_SET_KEEPCAPS, 0L, 0L, 0L, 0L) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) != 0)
    return refused(name, "prctl");
  if (is_only(*user)) return Ok{};
  return Error{.code = Code::kInternal, .message = "the process became " + name + ", and has rights left"};
}

}  // namespace ringtap
