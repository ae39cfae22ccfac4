// libpcap's own machine, to compare ours with.
#pragma once

#include <dlfcn.h>
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/program.h"

namespace ringtap::test {

class ReferenceFilter {
 public:
  ReferenceFilter() : library_(dlopen("libpcap.so.0.8", RTLD_NOW)) {
    if (library_ == nullptr) library_ = dlopen("libpcap.so.1", RTLD_NOW);
    REQUIRE_MESSAGE(library_ != nullptr, "these tests compare with libpcap, which is not installed");
    filter_ = reinterpret_cast<Filter>(dlsym(library_, "bpf_filter"));
    image_ = reinterpret_cast<Image>(dlsym(library_, "bpf_image"));
    valid_ = reinterpret_cast<Valid>(dlsym(library_, "bpf_validate"));
    REQUIRE(bool(filter_));
    REQUIRE(bool(image_));
    REQUIRE(bool(valid_));
  }

  uint32_t run(const Program& program, const std::vector<std::byte>& packet, uint32_t wirelen) const {
    return filter_(program.data(), packet.data(), wirelen, static_cast<unsigned>(packet.size()));
  }
  bool valid(const Program& program) const { return valid_(program.data(), static_cast<int>(program.size())) != 0; }
  std::string image(const Program& program, size_t index) const {
    return image_(&program[index], static_cast<int>(index));
  }

 private:
  using Filter = unsigned (*)(const BpfInsn*, const std::byte*, unsigned wirelen, unsigned buflen);
  using Image = char* (*)(const BpfInsn*, int);
  using Valid = int (*)(const BpfInsn*, int);
  void* library_;
  Filter filter_;
  Image image_;
  Valid valid_;
};

}  // namespace ringtap::test
