// `npm start`: set up, then the demo.
import { join } from 'node:path';
import { labCommand, labSupport, runForeground } from './lab.mjs';
import { root, setup } from './setup.mjs';

setup({ for: 'start' });
const demo = [process.execPath, join(root, 'scripts/demo.mjs')];
const { reason } = labSupport();
process.exitCode = await runForeground(
  reason === undefined
    ? labCommand(demo)
    : { file: demo[0], args: demo.slice(1), env: { ...process.env, RINGTAP_LAB_MISSING: reason } },
);
