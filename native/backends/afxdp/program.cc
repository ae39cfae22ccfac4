#include "backends/afxdp/program.h"

#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "backends/afxdp/bpf.h"
#include "backends/afxdp/btf.h"
#include "core/region.h"

namespace ringtap::afxdp {
namespace {

using namespace ebpf;

constexpr uint32_t kKtimeGetNs = 5, kRedirectMap = 51, kAdjustMeta = 54, kGetBuffLen = 188;
constexpr uint32_t kMmapable = 1u << 10;  // BPF_F_MMAPABLE
// In struct xdp_md.
constexpr int16_t kContextData = 0, kContextDataMeta = 8, kContextQueue = 16;

constexpr Reg kContext = R6;

constexpr Reg kTime = R7, kClock = R8;

/// Sets kTime and kClock.
void append_clock(Assembler& as, uint32_t rx_timestamp) {
  const Label kernel = as.label();
  const Label known = as.label();
  if (rx_timestamp != 0) {
    as.store(Size::kDouble, R10, -8, 0);
    as.mov64(R1, kContext);
    as.mov64(R2, R10);
    as.alu64(Alu::kAdd, R2, -8);
    as.call_kernel(rx_timestamp);
    as.jump64(Jump::kNotEqual, R0, 0, kernel);
    as.load(Size::kDouble, kTime, R10, -8);
    // WHY: drivers that have no time for this packet say so, or say nothing and leave zero.
    as.jump64(Jump::kEqual, kTime, 0, kernel);
    as.mov64(kClock, static_cast<int>(StampClock::kHardware));
    as.jump(known);
    as.bind(kernel);
  }
  as.call(kKtimeGetNs);
  as.mov64(kTime, R0);
  as.mov64(kClock, static_cast<int>(StampClock::kMonotonic));
  as.bind(known);
}

void append_stamp(Assembler& as, const Stamps& stamps, uint32_t rx_timestamp, Label done) {
  const Label failed = as.label();
  // WHY before there is room for the stamp: drivers may keep their own time in that place.
  append_clock(as, rx_timestamp);
  as.mov64(R1, kContext);
  as.mov64(R2, -static_cast<int>(kStampBytes));
  as.call(kAdjustMeta);
  as.jump64(Jump::kNotEqual, R0, 0, failed);
  as.load(Size::kWord, R1, kContext, kContextDataMeta);
  as.load(Size::kWord, R2, kContext, kContextData);
  as.mov64(R3, R1);
  as.alu64(Alu::kAdd, R3, kStampBytes);
  as.jump64(Jump::kGreater, R3, R2, failed);
  as.store(Size::kWord, R1, offsetof(Stamp, magic), Operand(stamps.magic()));
  as.store(Size::kWord, R1, offsetof(Stamp, clock), kClock);
  as.store(Size::kDouble, R1, offsetof(Stamp, time_ns), kTime);
  as.jump(done);

  as.bind(failed);
  as.load_map_value(R1, stamps.failure_map());
  as.store(Size::kWord, R1, 0, 1);
}

uint32_t random_magic() {
  uint32_t number = 0;
  while (getrandom(&number, sizeof number, 0) < 0 && errno == EINTR) continue;
  return number | 1;  // zero is what fresh memory holds
}

/// One variant of how the filter may run, best first.
struct Variant {
  FilterPlace where;
  Access access;
};
constexpr Variant kVariants[] = {{FilterPlace::kXdp, Access::kDirect},
                                 {FilterPlace::kXdpLoadBytes, Access::kMixed},
                                 {FilterPlace::kXdpLoadBytes, Access::kLoadBytes}};

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
  keep_from_children(page, sizeof(uint32_t));
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
    append_stamp(as, *spec.stamps, spec.rx_timestamp, stamped);
    as.bind(stamped);
    as.mov32(R0, XDP_REDIRECT);
  }
  as.bind(done);
  as.exit();
  auto program = as.finish();
  if (!program) return std::move(program).error();
  return XdpCode{.program = std::move(*program), .keep = keep};
}

namespace {

Result<LoadedProgram> load_variants(const LoadSpec& spec, uint32_t rx_timestamp) {
  LoadedProgram result;
  if (spec.clock != StampClock::kNone) set_up_stamps(spec.clock, result);
  ProgramSpec variant{
      .xsk_map = spec.xsk_map, .stamps = result.stamps ? &*result.stamps : nullptr, .rx_timestamp = rx_timestamp};
  variant.options.frags = spec.frags;

  const auto try_load = [&]() -> Result<Ok> {
    const auto code = assemble(variant);
    if (!code) return code.error();
    auto fd = load_program(code->program, spec.frags, rx_timestamp != 0 ? spec.device : 0);
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
  result.filter.where = FilterPlace::kUser;
  return result;
}

/// A program that asks the driver for each packet's time. It is for one interface, because drivers answer differently.
Result<LoadedProgram> load_hardware_stamps(const LoadSpec& spec) {
  auto function = kernel_function("bpf_xdp_metadata_rx_timestamp");
  if (!function) return std::move(function).error();
  return load_variants(spec, *function);
}

}  // namespace

Result<LoadedProgram> load(const LoadSpec& spec) {
  if (spec.clock == StampClock::kHardware) {
    auto asking = load_hardware_stamps(spec);
    if (asking) return asking;
    LoadSpec other = spec;
    other.clock = StampClock::kMonotonic;
    auto loaded = load(other);
    if (loaded) loaded->notes.push_back("no hardware timestamps: " + asking.error().message);
    return loaded;
  }
  return load_variants(spec, 0);
}

}  // namespace ringtap::afxdp
