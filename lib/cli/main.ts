#!/usr/bin/env node
import { report, say } from './errors.js';
import { endWithOutput } from './output.js';
import { createProgram } from './program.js';

endWithOutput();
// Node's own handler would print the process id and a code. The library warns of fallbacks this way.
process.removeAllListeners('warning').on('warning', ({ message }) => say(`warning: ${message}`));
try {
  const program = await createProgram(process.argv[2]);
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
