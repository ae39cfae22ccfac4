// Writes what is derived from the tables: error codes, options, words, link types and the list of backends.
// `node scripts/generate.mjs --check` fails when a committed file is stale.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './files.mjs';
import { errorsDocument } from './generate/errors_document.mjs';
import { eventsDocument } from './generate/events_document.mjs';
import { backendHeaders, backendTable, errnoHints, errorCodes, errorTypes } from './generate/native.mjs';
import { optionTypes } from './generate/option_types.mjs';
import { eventTypes, protocolFields, protocolHeaders, protocolTable } from './generate/protocols.mjs';
import { schema } from './generate/schema.mjs';
import { compressedSuffixes, traceNameTable } from './generate/trace_names.mjs';
import { uriDocument } from './generate/uri_document.mjs';
import { linkTypeTable, words } from './generate/vocabulary.mjs';

const outputs = {
  'native/generated/errors.inc': errorCodes,
  'native/generated/errno_hints.inc': errnoHints,
  'native/generated/backend_headers.inc': backendHeaders,
  'native/generated/backends.inc': backendTable,
  'native/generated/compressed_suffixes.inc': compressedSuffixes,
  'native/generated/protocol_headers.inc': protocolHeaders,
  'native/generated/protocols.inc': protocolTable,
  ...protocolFields,
  'lib/generated/errors.ts': errorTypes,
  'lib/generated/options.ts': optionTypes,
  'lib/generated/schema.ts': schema,
  'lib/generated/vocabulary.ts': words,
  'lib/generated/link_types.ts': linkTypeTable,
  'lib/generated/trace_names.ts': traceNameTable,
  'lib/generated/events.ts': eventTypes,
  'docs/errors.md': errorsDocument,
  'docs/events.md': eventsDocument,
  'docs/uri.md': uriDocument,
};

const check = process.argv.includes('--check');
let stale = 0;
for (const [path, text] of Object.entries(outputs)) {
  const file = join(root, path);
  const old = existsSync(file) ? readFileSync(file, 'utf8') : '';
  if (old === text) continue;
  if (check) {
    console.error(`${path} is stale: run \`npm run generate\``);
    stale++;
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(`wrote ${path}`);
  }
}
process.exitCode = stale > 0 ? 1 : 0;
