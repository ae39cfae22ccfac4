#include "backends/dpdk/module/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_version.h>

#include <chrono>
#include <mutex>

#include "backends/dpdk/module/eal_arguments.h"
#include "backends/dpdk/module/log.h"
#include "core/new_descriptors.h"
#include "core/thread.h"

namespace ringtap::dpdk {

namespace {

// To start takes as long as it takes to clear huge pages.
constexpr std::chrono::minutes kPatience(1);

struct Eal {
  std::mutex mutex;
  bool running = false;
  bool huge = false;
  std::vector<std::string> extra;
  std::string failure;  // what the last attempt failed with
};

Eal& eal() {
  static auto* instance = new Eal;
  return *instance;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

/// rte_eal_init() on a thread of its own: it makes its caller the main lcore, with that lcore's affinity and name.
/// What it returned, 0 or more when EAL runs.
Result<int> init(std::vector<std::string> arguments, int& err) {
  int result = -1;
  auto thread = start_thread([&] {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    const QuietStderr quiet;
    result = rte_eal_init(static_cast<int>(argv.size()), argv.data());
    err = rte_errno;
  });
  if (!thread) return std::move(thread).error();
  thread->join();
  return result;
}

/// WHY: an older DPDK keeps what it has read of its arguments, takes the next attempt for a contradiction, and prints
/// its usage.
constexpr bool kStartsAgain = RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0);

Error not_again(const EalRequest& request, const std::string& failure) {
  return {.code = Code::kSystem,
          .message = request.uri + ": DPDK cannot be started again in this process, after: " + failure,
          .hint = "Remove the cause and start a new process: DPDK starts once per process.",
          .syscall = "rte_eal_init",
          .err = EALREADY};
}

}  // namespace

Result<Ok> start_eal(const EalRequest& request) {
  auto extra = checked_arguments(request.uri, request.arguments);
  if (!extra) return std::move(extra).error();
  Eal& state = eal();
  const auto lock = lock_within(state.mutex, kPatience, request.cancelled);
  if (!lock) {
    return Error{.code = Code::kBusy,
                 .message = request.uri + ": DPDK is being started by another capture",
                 .hint = "Try again when that one is open."};
  }
  if (state.running) {
    if (!extra->empty() && *extra != state.extra) {
      return Error{
          .code = Code::kBusy,
          .message = request.uri + ": DPDK runs already in this process, with eal=\"" + join(state.extra) + "\"",
          .hint = "DPDK starts once per process: give `eal` to the first capture."};
    }
    if (request.huge == EalRequest::Huge::kRequire && !state.huge) {
      return Error{.code = Code::kBusy,
                   .message = request.uri + ": DPDK runs already in this process, without huge pages",
                   .hint = "DPDK starts once per process: give hugePages=require to the first capture."};
    }
    return Ok{};
  }
  const bool huge = request.huge != EalRequest::Huge::kOff && free_huge_bytes() > 0;
  if (!huge && request.huge == EalRequest::Huge::kRequire) {
    return Error{.code = Code::kNoMemory,
                 .message = request.uri + ": no huge page is free",
                 .hint = "sudo sh -c 'echo 512 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages'"};
  }
  if (auto enough = check_memory(request.uri, *extra, huge); !enough) return enough;
  if (!state.failure.empty() && !kStartsAgain) return not_again(request, state.failure);
  capture_log();
  const NewDescriptors inherits_nothing;
  const LogMark mark;
  int err = 0;
  const auto result = init(eal_arguments({.pci = request.pci, .huge_pages = huge, .extra = *extra}), err);
  if (!result) {
    Error error = result.error();
    error.message = request.uri + ": DPDK does not start: " + error.message;
    return error;
  }
  if (*result >= 0) {
    capture_library_logs();
    state.running = true;
    state.huge = huge;
    state.extra = *std::move(extra);
    return Ok{};
  }
  const std::string message = mark.explain(request.uri + ": DPDK does not start");
  const Code code = err == ENOMEM                   ? Code::kNoMemory
                    : err == EACCES || err == EPERM ? Code::kNoPermission
                                                    : Code::kSystem;
  if (err == EALREADY && !state.failure.empty()) return not_again(request, state.failure);
  state.failure = message;
  return Error{.code = code,
               .message = message,
               .hint = extra->empty() ? "The words after the colon are DPDK's own." : "Check the option eal.",
               .syscall = "rte_eal_init",
               .err = err};
}

std::vector<std::string> eal_notes() {
  const Eal& state = eal();
  if (state.huge) return {};
  return {"no huge pages: DPDK runs in ordinary memory, slower and for virtual devices only"};
}

bool eal_has_pci() { return rte_eal_has_pci() != 0; }

}  // namespace ringtap::dpdk
