import { warn, withoutUri } from '../errors/errors.js';
import type { Request } from '../uri/request.js';
import type { Plan } from './plan.js';

/** What must not pass in silence of what was opened: another method than was asked for, and traffic that the host misses. */
export function warnOfPlan({ uri, scheme }: Request, plan: Plan, ignored: readonly string[]): void {
  const first = plan.candidates[0];
  if (scheme !== 'auto' && first !== undefined && !first.chosen) {
    // What was asked for and is not done must not stand in the plan alone.
    const left = ignored.length === 0 ? '' : `; ignored: ${plan.backend} ${ignored.join(', ')}`;
    warn('RINGTAP_FALLBACK', `${uri}: using ${plan.backend}: because ${withoutUri(uri, first.reason ?? '')}${left}`);
  }
  if (plan.takesTraffic) warnOfTraffic(plan);
}

let warnedOfTraffic = false;

/** Once a process: a capture that starves the host's own programs must not come as a surprise. */
function warnOfTraffic({ backend, target, filter }: Plan): void {
  if (warnedOfTraffic) return;
  warnedOfTraffic = true;
  const what = filter === 'none' || filter === 'user' ? 'every packet' : 'every packet that matches the filter';
  warn('RINGTAP_TAKES_TRAFFIC', `${backend}: takes ${what} away from the host's network stack on ${target}`);
}
