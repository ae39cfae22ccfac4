// Live tests need interfaces of their own. Where the host can make them, running without is a mistake, not a skip.
import { labSupport } from '../../scripts/lab.mjs';

if (process.env.RINGTAP_LAB === undefined && labSupport().reason === undefined) {
  throw new Error('These tests need the lab (veth pair rt0 ↔ rt1). Run: npm run lab -- npx vitest run --project live');
}
