// What of a pcapng trace goes along when its packets are written into another one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace ringtap::pcapng {

/// Whose options they are.
enum class Owner : uint8_t { kSection, kInterface, kPacket };

constexpr size_t kMostInterfaceOptions = 64u << 10;
constexpr size_t kMostPacketOptions = 256u << 10;

/// Which options were kept: bit n is that of code n; and whether none was left out for want of room.
struct KeptOptions {
  uint32_t codes = 0;
  bool is_whole = true;
  bool has(uint16_t code) const noexcept { return (codes >> code & 1) != 0; }
};

/// Appends what of these options means the same in another trace, in this host's byte order, up to so many bytes. What
/// comes after damage is lost; each number is read once, so that the bytes may change meanwhile.
KeptOptions keep_options(Owner owner, std::span<const std::byte> options, bool swap, size_t most, std::string& to);

/// The body of a kept interface: in front of its options there are link type (16 bits), if_tsresol (8 bits), 8 bits of
/// nothing, and the snapshot length. Time resolution and offset are not among the options.
std::string kept_interface(const std::byte* block, uint32_t total, bool swap, uint8_t resolution);
constexpr size_t kKeptInterfaceBytes = 8;

/// Adds to kept options of a section those comments of another one that are not there yet. False: there is no room.
bool add_comments(std::string& to, const std::string& from);

}  // namespace ringtap::pcapng
