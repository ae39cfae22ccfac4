// Which elements a record has, in which order.
#pragma once

#include <type_traits>
#include <utility>

#include "export/elements.h"
#include "export/settings.h"

namespace ringtap::ipfix {

/// What decides which template a record is of, as bits.
enum Kind : uint8_t { kPlain = 0, kSix = 1, kIcmp = 2, kTagged = 4, kKinds = 8 };

/// Of record `i`; `kTagged`: it is in a VLAN or a tunnel.
inline uint8_t kind_of(const flow::Columns& columns, uint32_t i) noexcept {
  const uint8_t protocol = columns.protocol[i];
  const bool is_tagged = (columns.outer_vlan[i] | columns.inner_vlan[i] | columns.tunnel_kind[i]) != 0;
  return static_cast<uint8_t>((columns.ip_version[i] == 6 ? kSix : 0) | (protocol == 1 || protocol == 58 ? kIcmp : 0) |
                              (is_tagged ? kTagged : 0));
}

/// Numbers of templates.
constexpr uint16_t kFirstTemplate = 256;
constexpr uint16_t template_of(uint8_t kind) noexcept { return static_cast<uint16_t>(kFirstTemplate + kind); }

/// All that decides which elements a record has but for single ones: of a kind, and of the settings.
enum Shape : uint8_t { kOwnElements = 8, kBiflow = 16, kNine = 32, kShapes = 64 };

inline uint8_t shape_of(const Settings& settings, uint8_t kind) noexcept {
  if (settings.protocol == Protocol::kNetflow9) return kind | kNine;
  return static_cast<uint8_t>(kind | (settings.enterprise != 0 ? kOwnElements : 0) | (settings.biflow ? kBiflow : 0));
}

/// Calls `visit` with each group of elements that records of this shape have.
template <uint8_t kShape, class Visit>
void for_each_group(const Settings& settings, const Visit& visit) {
  constexpr bool kIsNine = (kShape & kNine) != 0;
  constexpr bool kIsBiflow = (kShape & kBiflow) != 0;
  constexpr bool kHasOwn = (kShape & kOwnElements) != 0;
  constexpr bool kIsSix = (kShape & kSix) != 0;
  visit(Head{});
  if constexpr (kIsBiflow) visit(Direction{});
  if constexpr (kIsNine)
    visit(Switched{});
  else if (settings.times == Times::kMilliseconds)
    visit(Milliseconds{});
  else if (settings.times == Times::kMicroseconds)
    visit(Microseconds{});
  else
    visit(Nanoseconds{});
  if constexpr (kIsSix)
    visit(Addresses6{});
  else
    visit(Addresses4{});
  if constexpr ((kShape & kIcmp) == 0)
    visit(Ports{});
  else if constexpr (kIsSix && !kIsNine)
    visit(Icmp6{});
  else
    visit(Icmp4{});
  // WHY answers first: of an element that it knows one way only, nfcapd keeps what comes last.
  if constexpr (kIsBiflow) visit(Counts<true>{});
  if constexpr (kIsNine)
    visit(Counts9{});
  else
    visit(Counts<false>{});
  if constexpr ((kShape & kTagged) != 0) {
    if constexpr (kIsNine)
      visit(Vlans9{});
    else
      visit(Vlans{});
    if constexpr (kHasOwn) visit(OwnTunnel{});
  }
  if (settings.interface_index != 0) visit(Interface{});
  if (settings.is_sampled() && !kIsNine) visit(Selector{});
  if constexpr (kHasOwn) {
    visit(Own{});
    visit(OwnCounts<false, 9>{});
    if constexpr (kIsBiflow) visit(OwnCounts<true, 13>{});
  }
}

/// Calls `work` with the shape as a constant.
template <class Work>
void with_shape(uint8_t shape, const Work& work) {
  const auto one_of = [&]<size_t... kAll>(std::index_sequence<kAll...>) {
    const auto try_one = [&]<uint8_t kShape>(std::integral_constant<uint8_t, kShape> constant) {
      // NetFlow v9 has neither elements of our own nor answers.
      if constexpr ((kShape & kNine) == 0 || (kShape & (kOwnElements | kBiflow)) == 0) {
        if (shape == kShape) work(constant);
      }
    };
    (try_one(std::integral_constant<uint8_t, static_cast<uint8_t>(kAll)>{}), ...);
  };
  one_of(std::make_index_sequence<kShapes>{});
}

inline std::vector<Spec> specs_of(const Settings& settings, uint8_t kind) {
  std::vector<Spec> specs;
  with_shape(shape_of(settings, kind), [&]<uint8_t kShape>(std::integral_constant<uint8_t, kShape>) {
    for_each_group<kShape>(settings, [&specs]<class G>(G) { G::describe(specs); });
  });
  for (Spec& spec : specs) {
    if (spec.pen == kOwnPen) spec.pen = settings.enterprise;
  }
  return specs;
}

}  // namespace ringtap::ipfix
