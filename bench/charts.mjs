// A report's charts as SVG. Colours are of middle brightness and the background is none: readable in light and dark.
import { parse, View } from 'vega';
import { compile } from 'vega-lite';
import { median } from './lib/stats.mjs';

const TEXT = '#768089';
const GRID = '#76808940';
/** In the order of first appearance; told apart by shape as well. */
const COLOURS = [
  '#2f81f7',
  '#d9822b',
  '#2da06f',
  '#c45ab3',
  '#8a7ff0',
  '#c9a227',
  '#d1495b',
  '#3aa6b9',
  '#7f8c2e',
  '#9c6b4f',
];
const WIDTH = 560;

const CONFIG = {
  background: null,
  font: 'system-ui, sans-serif',
  view: { stroke: null },
  title: { color: TEXT, anchor: 'start', fontSize: 14, subtitleColor: TEXT, subtitleFontSize: 11 },
  axis: { labelColor: TEXT, titleColor: TEXT, gridColor: GRID, domainColor: TEXT, tickColor: TEXT, labelLimit: 260 },
  legend: { labelColor: TEXT, titleColor: TEXT, labelLimit: 260, symbolStrokeWidth: 2 },
  range: { category: COLOURS },
};

/** The charts that a report has data for: { name, title, draw() → SVG }. */
export function charts(report) {
  return [cost(report), loss(report), batch(report)].filter((chart) => chart !== undefined);
}

const chart = (name, title, subtitle, spec) => ({
  name,
  title,
  async draw() {
    const { spec: vega } = compile({ width: WIDTH, ...spec, title: { text: title, subtitle }, config: CONFIG });
    const view = new View(parse(vega), { renderer: 'none' });
    const svg = await view.toSVG();
    view.finalize();
    return svg;
  },
});

/** The smallest frames, from the generator that began with them. */
function smallest({ trials }) {
  const measured = trials.filter(({ size, part }) => size === 64 && part !== 'latency');
  return measured.filter(({ generator }) => generator === measured[0].generator);
}

function cost(report) {
  const flatOut = smallest(report).filter(({ asked, part }) => asked === 0 && part === 'comparison');
  const values = [...grouped(flatOut)].map(([receiver, all]) => {
    const ns = all.map(({ userNs, systemNs }) => userNs + systemNs);
    return { receiver, ns: median(ns), min: Math.min(...ns), max: Math.max(...ns), who: who(receiver) };
  });
  if (values.length === 0) return undefined;
  const x = {
    field: 'ns',
    type: 'quantitative',
    scale: { type: 'log', nice: true },
    title: 'ns of CPU per packet (log)',
  };
  return chart(
    'cost',
    'CPU per packet, by method',
    'veth, 64-byte frames flat out; median, least and greatest of the runs',
    {
      data: { values },
      height: { step: 28 },
      encoding: {
        y: { field: 'receiver', type: 'nominal', sort: { field: 'ns' }, title: null, axis: { grid: true } },
        color: { field: 'who', type: 'nominal', title: null, sort: ['ringtap', 'others'] },
      },
      layer: [
        { mark: { type: 'rule', strokeWidth: 2 }, encoding: { x: { ...x, field: 'min' }, x2: { field: 'max' } } },
        { mark: { type: 'point', filled: true, size: 90 }, encoding: { x } },
        {
          mark: { type: 'text', dy: -10, fontSize: 10 },
          encoding: { x, text: { field: 'ns', format: '.3~s' }, color: { value: TEXT } },
        },
      ],
    },
  );
}

function loss(report) {
  const values = smallest(report).map(({ receiver, offered, lost, sent }) => ({
    receiver,
    offered: offered / 1e6,
    lost: (lost / sent) * 100,
  }));
  if (values.length === 0) return undefined;
  return chart('loss', 'Loss by offered rate', 'veth, 64-byte frames; one mark for each trial', {
    data: { values },
    mark: { type: 'point', size: 60, strokeWidth: 1.8 },
    encoding: {
      x: { field: 'offered', type: 'quantitative', title: 'offered, million packets per second' },
      y: { field: 'lost', type: 'quantitative', scale: { type: 'symlog', constant: 0.1 }, title: 'lost, %' },
      color: { field: 'receiver', type: 'nominal', title: null },
      shape: { field: 'receiver', type: 'nominal', title: null },
    },
  });
}

function batch({ raw }) {
  const names = { C: 'C loop', tryNext: 'tryNext()', await: 'for await' };
  const values = (raw.batchSizes ?? []).flatMap(({ batch, ns }) =>
    Object.entries(names).map(([key, name]) => ({ batch, name, mpps: 1000 / ns[key].median })),
  );
  if (values.length === 0) return undefined;
  return chart('batch', 'Throughput by batch size', 'one core reading 64-byte packets from memory (synth:)', {
    data: { values },
    mark: { type: 'line', point: { filled: true, size: 50 }, strokeWidth: 2 },
    encoding: {
      x: { field: 'batch', type: 'quantitative', scale: { type: 'log', base: 2 }, title: 'packets in a batch' },
      y: { field: 'mpps', type: 'quantitative', title: 'million packets per second' },
      color: { field: 'name', type: 'nominal', title: null, sort: Object.values(names) },
    },
  });
}

const who = (receiver) => (receiver.startsWith('ringtap') ? 'ringtap' : 'others');

/** By receiver. */
function grouped(trials) {
  const groups = new Map();
  for (const trial of trials) groups.set(trial.receiver, [...(groups.get(trial.receiver) ?? []), trial]);
  return groups;
}
