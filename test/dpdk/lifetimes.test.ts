import { lifetimes } from '../support/lifetimes.js';

// A port has one capture, so that each open() has a port of its own.
lifetimes('dpdk:', () => 'dpdk:net_null{n}?mbufs=2048&hugePages=off');
