// `node scripts/new-backend.mjs <name>`: a folder for a new capture method that builds and says it cannot receive.
// docs/adding-a-backend.md tells how to go on.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './files.mjs';

const [name] = process.argv.slice(2);
if (!/^[a-z][a-z0-9]*$/.test(name ?? '')) {
  console.error(
    'usage: node scripts/new-backend.mjs <name>   (lower-case letters and digits: it becomes the URI scheme)',
  );
  process.exit(2);
}
const folder = join(root, 'native/backends', name);
if (existsSync(folder)) {
  console.error(`native/backends/${name} exists`);
  process.exit(1);
}
const Class = name[0].toUpperCase() + name.slice(1);

const files = {
  'backend.json': `{
  "name": "${name}",
  "title": "${Class}",
  "aliases": [],
  "target": "interface",
  "targetDoc": "An interface name.",
  "platforms": ["linux"],
  "options": [
    { "use": "filter" },
    { "use": "snaplen" },
    { "use": "bufferBytes" },
    { "use": "batchSize" }
  ]
}
`,
  'CMakeLists.txt': `ringtap_library(ringtap_backend_${name} SOURCES ${name}.cc LINK ringtap_core)
`,
  [`${name}.h`]: `// ${name}: what it captures from, in one sentence.
#pragma once

#include <memory>
#include <vector>

#include "core/source.h"

namespace ringtap {

Result<std::unique_ptr<Source>> open_${name}(const OpenRequest& request);
Probe probe_${name}();
std::vector<Device> devices_${name}();

}  // namespace ringtap
`,
  [`${name}.cc`]: `#include "backends/${name}/${name}.h"

namespace ringtap {

namespace {

Error not_opened(const std::string& uri) {
  Error error;
  error.code = Code::kUnsupported;
  error.message = uri + ": ${name} cannot receive in this build";
  return error;
}

class ${Class} final : public Source {
 public:
  explicit ${Class}(const OpenRequest& request) : error_(not_opened(request.uri)) {}

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter>) override { return error_; }
  Result<Ok> start() override { return error_; }
  RxBatch receive(DescBlock&, uint32_t) noexcept override { return {.rx = Rx::kError}; }
  bool release(Lease) noexcept override { return false; }
  Readiness readiness() const noexcept override { return {}; }
  Stats stats() const noexcept override { return {}; }
  const Error& error() const noexcept override { return error_; }
  void close() noexcept override {}

 private:
  SourceInfo info_;
  Error error_;
};

}  // namespace

Result<std::unique_ptr<Source>> open_${name}(const OpenRequest& request) {
  return std::unique_ptr<Source>(std::make_unique<${Class}>(request));
}

Probe probe_${name}() { return {.available = false, .error = not_opened("${name}:"), .detail = {}}; }

std::vector<Device> devices_${name}() { return {}; }

}  // namespace ringtap
`,
  'README.md': `# ${name}:

## Use
\`open('${name}:eth0')\`

## Needs
Kernel, libraries and rights; what \`ringtap doctor\` says without them.

## Options
See [docs/uri.md](../../../docs/uri.md#${name}).

## Zero copy
Which memory a batch shows, and what is copied on the way there.

## Limits
What it cannot do, and what it does to the host's own traffic.

## Tested on
Kernel, driver and method; "built, not measured" is an honest answer.
`,
};

mkdirSync(folder);
for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
console.log(`native/backends/${name} is there. Next: npm run generate, then docs/adding-a-backend.md`);
