import { lifetimes } from '../support/lifetimes.js';

// A port has one capture, so that each open() has a port of its own. One after the other: DPDK's heap is touched page by
// page, and its high-water mark is as many pools as ever happened to be open at once.
const uri = () => 'dpdk:net_null{n}?mbufs=2048&hugePages=off';
lifetimes('dpdk:', uri, uri, { RINGTAP_ABREAST: '1' });
