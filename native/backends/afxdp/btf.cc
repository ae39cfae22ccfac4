#include "backends/afxdp/btf.h"

#include <linux/btf.h>

#include <cstring>
#include <span>
#include <string>

#include "core/text.h"

namespace ringtap::afxdp {

namespace {

constexpr const char* kKernel = "/sys/kernel/btf/vmlinux";
// Kinds that older <linux/btf.h> lack.
constexpr uint32_t kDeclTag = 17, kEnum64 = 19;

/// What follows a type of this kind.
size_t tail_bytes(uint32_t kind, size_t members) {
  switch (kind) {
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case kDeclTag:
      return 4;
    case BTF_KIND_ARRAY:
      return sizeof(btf_array);
    case BTF_KIND_ENUM:
    case BTF_KIND_FUNC_PROTO:
      return members * 8;
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
    case BTF_KIND_DATASEC:
    case kEnum64:
      return members * 12;
  }
  return 0;
}

std::span<const std::byte> part(std::span<const std::byte> of, size_t at, size_t bytes) {
  return at <= of.size() && bytes <= of.size() - at ? of.subspan(at, bytes) : std::span<const std::byte>();
}

}  // namespace

std::optional<uint32_t> find_function(std::span<const std::byte> btf, std::string_view name) {
  btf_header header;
  if (btf.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, btf.data(), sizeof header);
  if (header.magic != BTF_MAGIC) return std::nullopt;
  const auto types = part(btf, size_t{header.hdr_len} + header.type_off, header.type_len);
  const auto texts = part(btf, size_t{header.hdr_len} + header.str_off, header.str_len);
  const auto is_name = [&](uint32_t at) {
    const auto text = part(texts, at, name.size() + 1);
    return !text.empty() && std::memcmp(text.data(), name.data(), name.size()) == 0 && text.back() == std::byte{0};
  };
  size_t at = 0;
  for (uint32_t id = 1; at + sizeof(btf_type) <= types.size(); id++) {
    btf_type type;
    std::memcpy(&type, types.data() + at, sizeof type);
    const uint32_t kind = BTF_INFO_KIND(type.info);
    if (kind == BTF_KIND_FUNC && is_name(type.name_off)) return id;
    at += sizeof type + tail_bytes(kind, BTF_INFO_VLEN(type.info));
  }
  return std::nullopt;
}

Result<uint32_t> kernel_function(const std::string& name) {
  const std::string btf = content_of(kKernel);
  if (btf.empty()) {
    return Error{.code = Code::kUnsupported, .message = std::string("the kernel has no type information: ") + kKernel};
  }
  if (const auto id = find_function(std::as_bytes(std::span(btf)), name)) return *id;
  return Error{.code = Code::kUnsupported, .message = "the kernel has no " + name + "()"};
}

}  // namespace ringtap::afxdp
