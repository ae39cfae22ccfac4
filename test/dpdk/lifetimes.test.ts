import { lifetimes } from '../support/lifetimes.js';

// A port has one capture, so that each open() has a port of its own. DPDK's heap is touched page by page: what the
// process takes stops growing after a thousand ports or two.
const uri = () => 'dpdk:net_null{n}?mbufs=2048&hugePages=off';
lifetimes('dpdk:', uri, uri, { RINGTAP_WARMUP: '3000' });
