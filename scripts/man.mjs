// Writes the manual page into dist, from the definitions of the commands. The last step of build:ts.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { manual } from '../dist/cli/man.js';
import { createProgram } from '../dist/cli/program.js';
import { root } from './files.mjs';

const folder = join(root, 'dist/man');
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'ringtap.1'), manual(await createProgram()));
