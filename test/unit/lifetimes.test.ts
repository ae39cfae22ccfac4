import { lifetimes } from '../support/lifetimes.js';
import { numberedTrace } from '../support/subjects.js';

lifetimes('synth: flat out', () => 'synth:?bufferBytes=65536');
lifetimes('synth: with a thread that waits', () => 'synth:?rate=50000&bufferBytes=65536');
lifetimes('file:', () => `file:${numberedTrace(60_000)}`);
