#include "export/announcement.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "export/layout.h"

namespace ringtap::ipfix {

namespace {

constexpr uint16_t kStatistics = kFirstTemplate + kKinds;
constexpr uint16_t kInterface = kStatistics + 1;
constexpr uint16_t kSampling = kStatistics + 2;
/// What the scope of options of NetFlow v9 is.
constexpr uint16_t kSystem9 = 1;
constexpr uint16_t kInterface9 = 2;

constexpr size_t bytes_of(const Spec& spec) noexcept { return spec.pen == 0 ? 4 : 8; }

std::byte* put(std::byte* at, const Spec& spec) noexcept {
  at = store_big(at, static_cast<uint16_t>(spec.id | (spec.pen == 0 ? 0 : 0x8000)));
  at = store_big(at, spec.bytes);
  return spec.pen == 0 ? at : store_big(at, spec.pen);
}

void put_template(const Settings& settings, uint8_t kind, Messages& messages) {
  const std::vector<Spec> specs = specs_of(settings, kind);
  size_t bytes = 4;
  for (const Spec& spec : specs) bytes += bytes_of(spec);
  std::byte* at = messages.room(settings.domain, set_ids(settings.protocol).templates, bytes).at;
  at = store_big(at, template_of(kind));
  at = store_big(at, static_cast<uint16_t>(specs.size()));
  for (const Spec& spec : specs) at = put(at, spec);
  messages.wrote_template(at);
}

/// The value of an option: a number, or text, which is cut or filled up.
struct Option {
  Spec spec;
  uint64_t number = 0;
  std::string_view text;
};

std::byte* put(std::byte* at, const Option& option) noexcept {
  const size_t bytes = option.spec.bytes;
  if (option.text.data() != nullptr) {
    const size_t length = std::min(bytes, option.text.size());
    std::memcpy(at, option.text.data(), length);
    std::memset(at + length, 0, bytes - length);
  } else {
    for (size_t i = 0; i < bytes; i++) at[i] = static_cast<std::byte>(option.number >> 8 * (bytes - 1 - i));
  }
  return at + bytes;
}

/// A template of options and its only record. The first option is the scope.
void put_options(const Settings& settings, uint32_t domain, uint16_t id, std::span<const Option> options,
                 Messages& messages) {
  size_t value_bytes = 0;
  for (const Option& option : options) value_bytes += option.spec.bytes;
  std::byte* at = messages.room(domain, set_ids(settings.protocol).options, 6 + 4 * options.size()).at;
  at = store_big(at, id);
  if (settings.protocol == Protocol::kIpfix) {
    at = store_big(at, static_cast<uint16_t>(options.size()));
    at = store_big(at, uint16_t{1});
  } else {
    at = store_big(at, uint16_t{4});
    at = store_big(at, static_cast<uint16_t>(4 * (options.size() - 1)));
  }
  for (const Option& option : options) at = put(at, option.spec);
  messages.wrote_template(at);
  at = messages.room(domain, id, value_bytes).at;
  for (const Option& option : options) at = put(at, option);
  messages.wrote_option(at);
}

void put_statistics(const Settings& settings, const Account& account, Messages& messages) {
  const bool is_nine = settings.protocol == Protocol::kNetflow9;
  const Option exported[] = {
      is_nine ? Option{{kSystem9, 4, 0}, settings.domain, {}}
              : Option{{144, 4, 0}, settings.domain, {}},  // exportingProcessId
      {{41, 8, 0}, account.messages, {}},                  // exportedMessageTotalCount
      {{40, 8, 0}, account.octets, {}},                    // exportedOctetTotalCount
      {{42, 8, 0}, account.records, {}},                   // exportedFlowRecordTotalCount
      {{166, 8, 0}, account.lost_records, {}},             // notSentFlowTotalCount
      {{167, 8, 0}, account.lost_packets, {}},             // notSentPacketTotalCount
      {{168, 8, 0}, account.lost_octets, {}},              // notSentOctetTotalCount
      {{164, 8, 0}, account.ignored_packets, {}},          // ignoredPacketTotalCount
  };
  // NetFlow v9 knows the first ones only.
  const std::span<const Option> known = std::span(exported).first(is_nine ? 4 : std::size(exported));
  // WHY domain 0: it is about no domain (RFC 7011, 3.1), and numbers there are its own.
  put_options(settings, is_nine ? settings.domain : 0, kStatistics, known, messages);
}

void put_interface(const Settings& settings, Messages& messages) {
  const bool is_nine = settings.protocol == Protocol::kNetflow9;
  const auto length = [](const std::string& text) {
    return static_cast<uint16_t>(std::clamp<size_t>(text.size(), 1, kMostName));
  };
  const std::string& name = settings.interface_name;
  const std::string& description = settings.interface_description;
  const Option options[] = {
      {{is_nine ? kInterface9 : uint16_t{10}, 4, 0}, settings.interface_index, {}},  // ingressInterface
      {{82, length(name), 0}, 0, name},                                              // interfaceName
      {{83, length(description), 0}, 0, description},                                // interfaceDescription
  };
  put_options(settings, settings.domain, kInterface, options, messages);
}

void put_sampling(const Settings& settings, Messages& messages) {
  if (settings.protocol == Protocol::kNetflow9) {
    const Option options[] = {
        {{kSystem9, 4, 0}, settings.domain, {}},
        {{34, 4, 0}, std::max(settings.sample_packets, settings.sample_flows), {}},  // samplingInterval
    };
    put_options(settings, settings.domain, kSampling, options, messages);
  } else if (settings.sample_packets > 1) {
    const Option options[] = {
        {{149, 4, 0}, settings.domain, {}},              // observationDomainId
        {{34, 4, 0}, settings.sample_packets, {}},       // samplingInterval, for collectors that know no selectors
        {{302, 2, 0}, 1, {}},                            // selectorId
        {{304, 2, 0}, 1, {}},                            // selectorAlgorithm: systematic, by count
        {{305, 4, 0}, 1, {}},                            // samplingPacketInterval
        {{306, 4, 0}, settings.sample_packets - 1, {}},  // samplingPacketSpace
    };
    put_options(settings, settings.domain, kSampling, options, messages);
  } else {
    const Option options[] = {
        {{149, 4, 0}, settings.domain, {}},            // observationDomainId
        {{302, 2, 0}, 1, {}},                          // selectorId
        {{390, 2, 0}, 4, {}},                          // flowSelectorAlgorithm: uniform, by probability
        {{396, 4, 0}, 1, {}},                          // samplingFlowInterval
        {{397, 4, 0}, settings.sample_flows - 1, {}},  // samplingFlowSpacing
    };
    put_options(settings, settings.domain, kSampling, options, messages);
  }
}

}  // namespace

void announce(const Settings& settings, const Account& account, Messages& messages) {
  for (uint8_t kind = 0; kind < kKinds; kind++) put_template(settings, kind, messages);
  if (settings.interface_index != 0) put_interface(settings, messages);
  if (settings.is_sampled()) put_sampling(settings, messages);
  put_statistics(settings, account, messages);
  messages.finish();
}

void withdraw(const Settings& settings, Messages& messages) {
  const SetIds ids = set_ids(settings.protocol);
  for (const uint32_t domain : {settings.domain, uint32_t{0}}) {
    for (const uint16_t set : {ids.templates, ids.options}) {
      // Template 2 or 3 without a field stands for all of that kind.
      std::byte* at = messages.room(domain, set, 6).at;
      at = store_big(at, set);
      at = store_big(at, uint16_t{0});
      // WHY padding: tshark looks for a number of scopes there.
      if (set == ids.options) at = store_big(at, uint16_t{0});
      messages.wrote_template(at);
    }
    if (settings.domain == 0) break;
  }
  messages.finish();
}

}  // namespace ringtap::ipfix
