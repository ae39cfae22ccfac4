#include "backends/afxdp/program.h"

#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <random>

#include "backends/afxdp/bpf.h"

namespace ringtap::afxdp {
namespace {

using namespace ebpf;

constexpr uint32_t kKtimeGetNs = 5, kRedirectMap = 51, kAdjustMeta = 54, kGetBuffLen = 188;
constexpr uint32_t kMmapable = 1u << 10;  // BPF_F_MMAPABLE
// In struct xdp_md.
constexpr int16_t kContextData = 0, kContextDataMeta = 8, kContextQueue = 16;

constexpr Reg kContext = R6;

void append_stamp(Assembler& as, const Stamps& stamps, Label done) {
  const Label failed = as.label();
  as.mov64(R1, kContext);
  as.mov64(R2, -static_cast<int>(kStampBytes));
  as.call(kAdjustMeta);
  as.jump64(Jump::kNotEqual, R0, 0, failed);
  as.call(kKtimeGetNs);
  as.load(Size::kWord, R1, kContext, kContextDataMeta);
  as.load(Size::kWord, R2, kContext, kContextData);
  as.mov64(R3, R1);
  as.alu64(Alu::kAdd, R3, kStampBytes);
  as.jump64(Jump::kGreater, R3, R2, failed);
  as.store(Size::kWord, R1, offsetof(Stamp, magic), Operand(stamps.magic()));
  as.store(Size::kWord, R1, offsetof(Stamp, clock), static_cast<int>(stamps.clock()));
  as.store(Size::kDouble, R1, offsetof(Stamp, time_ns), R0);
  as.jump(done);

  as.bind(failed);
  as.load_map_value(R1, stamps.failure_map());
  as.store(Size::kWord, R1, 0, 1);
}

uint32_t random_magic() {
  std::random_device random;
  // Zero is what fresh memory holds.
  return random() | 1;
}

/// One variant of how the filter may run, best first.
struct Variant {
  const char* where;
  Access access;
};
constexpr Variant kVariants[] = {
    {"xdp", Access::kDirect}, {"xdp-load-bytes", Access::kMixed}, {"xdp-load-bytes", Access::kLoadBytes}};

std::string why_slower(const Error& refusal) {
  if (!has_capability(Capability::kPerfmon) && !has_capability(Capability::kSysAdmin)) {
    return "without CAP_PERFMON the kernel allows no variable offsets into packets";
  }
  return refusal.message;
}

void set_up_stamps(StampClock clock, LoadedProgram& to) {
  auto stamps = Stamps::create(clock);
  if (stamps) {
    to.stamps = std::move(*stamps);
  } else {
    to.notes.push_back("no timestamps in the kernel: " + stamps.error().message);
  }
}

}  // namespace

void Stamps::Unmap::operator()(void* page) const { munmap(page, sizeof(uint32_t)); }

Result<Stamps> Stamps::create(StampClock clock) {
  auto map = create_map({.type = BPF_MAP_TYPE_ARRAY, .flags = kMmapable, .name = "ringtap_stamps"});
  if (!map) return std::move(map).error();
  void* page = mmap(nullptr, sizeof(uint32_t), PROT_READ, MAP_SHARED, map->get(), 0);
  if (page == MAP_FAILED) return system_error(Code::kUnsupported, "mapping a BPF map", "mmap", errno);
  Stamps stamps;
  stamps.clock_ = clock;
  stamps.magic_ = random_magic();
  stamps.map_ = std::move(*map);
  stamps.page_.reset(page);
  return stamps;
}

bool Stamps::intact() const {
  // SAFETY: the page holds the map's one 32-bit value, and its mapping lives as long as this object. The program wrote
  // it before the kernel published the packet's descriptor, and the reader acquired that before it asks here.
  return __atomic_load_n(static_cast<const uint32_t*>(page_.get()), __ATOMIC_RELAXED) == 0;
}

std::optional<int64_t> Stamps::read(const std::byte* packet) const {
  // SAFETY: the caller promises the bytes; a copy, because they may be unaligned and JavaScript may write to them.
  Stamp stamp;
  std::memcpy(&stamp, packet - kStampBytes, kStampBytes);
  if (stamp.magic != magic_ || stamp.clock != static_cast<uint32_t>(clock_)) return std::nullopt;
  return stamp.time_ns;
}

Result<XdpCode> assemble(const ProgramSpec& spec) {
  Assembler as;
  uint32_t keep = 0;
  const Label accept = as.label();
  const Label pass = as.label();
  const Label done = as.label();
  const Label stamped = as.label();

  as.mov64(kContext, R1);
  if (spec.filter != nullptr) {
    const auto appended = append_filter(as, *spec.filter, spec.options, accept, pass);
    if (!appended) return appended.error();
    keep = *appended;
  } else {
    as.jump(accept);
  }

  as.bind(pass);
  as.mov32(R0, XDP_PASS);
  as.exit();

  as.bind(accept);
  as.load_map(R1, spec.xsk_map);
  as.load(Size::kWord, R2, kContext, kContextQueue);
  as.mov32(R3, XDP_PASS);
  as.call(kRedirectMap);
  if (spec.stamps != nullptr) {
    // WHY only then: a packet that no socket waits for goes to the host, where metadata would keep GRO from merging it.
    as.jump64(Jump::kNotEqual, R0, XDP_REDIRECT, done);
    append_stamp(as, *spec.stamps, stamped);
    as.bind(stamped);
    as.mov32(R0, XDP_REDIRECT);
  }
  as.bind(done);
  as.exit();
  auto program = as.finish();
  if (!program) return std::move(program).error();
  return XdpCode{.program = std::move(*program), .keep = keep};
}

Result<LoadedProgram> load(const LoadSpec& spec) {
  LoadedProgram result;
  if (spec.clock != StampClock::kNone) set_up_stamps(spec.clock, result);
  ProgramSpec variant{.xsk_map = spec.xsk_map, .stamps = result.stamps ? &*result.stamps : nullptr};
  variant.options.frags = spec.frags;

  const auto try_load = [&]() -> Result<Ok> {
    const auto code = assemble(variant);
    if (!code) return code.error();
    auto fd = load_program(code->program, spec.frags, &result.verifier_log);
    if (!fd) return std::move(fd).error();
    result.fd = std::move(*fd);
    result.keep = code->keep;
    return Ok{};
  };

  // WHY first without a filter: what is refused here is refused for lack of rights or memory, and is an error; what is
  // refused below is refused because of the filter, which then runs elsewhere.
  auto bare = try_load();
  if (!bare) return std::move(bare).error();
  if (spec.filter == nullptr) return result;

  variant.filter = spec.filter;
  if (!has_helper(kGetBuffLen)) variant.options.length = Length::kPointers;
  for (const Variant& v : kVariants) {
    variant.options.access = v.access;
    const auto loaded = try_load();
    if (loaded) {
      result.filter.where = v.where;
      return result;
    }
    result.filter.reason = v.access == Access::kDirect ? why_slower(loaded.error()) : loaded.error().message;
  }
  result.filter.where = "user";
  return result;
}

}  // namespace ringtap::afxdp
