#include "protocol/http/hpack.h"

#include <cstddef>

#include "core/shared_library.h"

namespace ringtap::protocol::http {

namespace {

// As nghttp2.h has them.
struct NameValue {
  uint8_t* name;
  uint8_t* value;
  size_t name_length;
  size_t value_length;
  uint8_t flags;
};
/// What an empty one takes: a ring of 128 pointers most of all.
constexpr size_t kInflaterBytes = 1536;
constexpr int kFinal = 1;
constexpr int kEmit = 2;

struct Library {
  int (*open)(void** inflater);
  void (*close)(void* inflater);
  int (*set_largest_table)(void* inflater, size_t bytes);
  ptrdiff_t (*read)(void* inflater, NameValue* out, int* flags, const uint8_t* in, size_t size, int is_last);
  int (*end_block)(void* inflater);
  size_t (*table_bytes)(void* inflater);
};

std::string bind(LibraryHandle library, Library& out) {
  Binder binder(library);
  binder.need(out.open, "nghttp2_hd_inflate_new");
  binder.need(out.close, "nghttp2_hd_inflate_del");
  binder.need(out.set_largest_table, "nghttp2_hd_inflate_change_table_size");
  binder.need(out.read, "nghttp2_hd_inflate_hd2");
  binder.need(out.end_block, "nghttp2_hd_inflate_end_headers");
  binder.need(out.table_bytes, "nghttp2_hd_inflate_get_dynamic_table_size");
  return binder.missing();
}

const Loaded<Library>& loaded() {
  static const auto& library = *new Loaded<Library>(load_own_or_library<Library>(
      {"libnghttp2.so.14", "libnghttp2.so"}, "RINGTAP_LIBNGHTTP2", "nghttp2_hd_inflate_new", bind));
  return library;
}

}  // namespace

const std::string& why_no_hpack() { return loaded().why; }

void Hpack::Close::operator()(void* inflater) const noexcept { loaded().functions->close(inflater); }

/// WHY the largest table at once: who writes says in its fields how large it is, and does not pass what the other end
/// allows. What that is need not be known.
Hpack::Hpack() {
  if (!loaded().functions) return;
  void* opened = nullptr;
  if (loaded().functions->open(&opened) != 0) return;
  inflater_.reset(opened);
  if (loaded().functions->set_largest_table(opened, kLargestTable) != 0) inflater_.reset();
}
Hpack::~Hpack() = default;
Hpack::Hpack(Hpack&&) noexcept = default;
Hpack& Hpack::operator=(Hpack&&) noexcept = default;

bool Hpack::read(Span bytes, bool is_last, const Field& field) {
  if (inflater_ == nullptr) return false;
  const Library& library = *loaded().functions;
  for (;;) {
    NameValue found{};
    int flags = 0;
    // SAFETY: bytes are bytes, and it does not write to them.
    const ptrdiff_t consumed = library.read(
        inflater_.get(), &found, &flags, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), is_last ? 1 : 0);
    if (consumed < 0 || static_cast<size_t>(consumed) > bytes.size()) return false;
    bytes = bytes.subspan(static_cast<size_t>(consumed));
    if ((flags & kEmit) != 0) {
      // SAFETY: it gives text, which stays until the next call.
      field({reinterpret_cast<const char*>(found.name), found.name_length},
            {reinterpret_cast<const char*>(found.value), found.value_length});
    }
    if ((flags & kFinal) != 0) return library.end_block(inflater_.get()) == 0;
    if ((flags & kEmit) == 0 && bytes.empty()) return !is_last;
    if ((flags & kEmit) == 0 && consumed == 0) return false;
  }
}

size_t Hpack::memory() const noexcept {
  return inflater_ == nullptr ? 0 : kInflaterBytes + loaded().functions->table_bytes(inflater_.get());
}

}  // namespace ringtap::protocol::http
