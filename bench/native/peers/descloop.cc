// peer-descloop BATCH [option=value…]: reads synth: batches in C++, as many packets as each line on stdin asks for.
#include <optional>

#include "backends/synth/synth.h"
#include "peer.h"

namespace {

/// Texts stay texts, everything else is a number.
ringtap::Options parse(int argc, char** argv) {
  ringtap::Options options;
  for (int i = 2; i < argc; i++) {
    const std::string argument = argv[i];
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
    if (name == "sizes" || name == "protocols") {
      options.set(name, value);
    } else {
      options.set(name, static_cast<double>(peer::number(value.c_str())));
    }
  }
  return options;
}

void read(ringtap::Source& source, ringtap::DescBlock& block, uint32_t batch, uint64_t packets) {
  const peer::Meter meter;
  peer::Work work;
  while (work.packets < packets) {
    const ringtap::RxBatch lent = source.receive(block, batch);
    if (lent.rx != ringtap::Rx::kOk) break;
    const std::byte* base = source.info().segments[lent.segment].base;
    for (uint32_t i = 0; i < lent.count; i++) work.look(base + block.offset[i], block.caplen[i]);
    work.packets += lent.count;
    source.release(lent.lease);
  }
  meter.print(work);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const auto batch = static_cast<uint32_t>(peer::number(argv[1]));
  auto opened = ringtap::open_synth({.uri = "synth:", .target = "", .options = parse(argc, argv)});
  if (!opened) {
    std::fprintf(stderr, "peer-descloop: %s\n", opened.error().message.c_str());
    return 1;
  }
  ringtap::Source& source = **opened;
  if (!source.start()) return 1;
  ringtap::DescBlock block(batch);
  peer::say_ready();
  char line[64];
  while (std::fgets(line, sizeof line, stdin) != nullptr) read(source, block, batch, peer::number(line));
  return 0;
}
