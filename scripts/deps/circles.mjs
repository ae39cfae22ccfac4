// Circles in a graph of files: each is told once, by its shortest way round.

/** `edges`: node → the nodes that it uses. Each circle as the nodes along it, the first one again at the end. */
export function circles(edges) {
  return components(edges)
    .filter((members) => members.length > 1)
    .map((members) => shortestThrough(edges, members));
}

/** Tarjan's strongly connected components. */
function components(edges) {
  const order = new Map();
  const low = new Map();
  const stack = [];
  const found = [];
  const visit = (node) => {
    order.set(node, order.size);
    low.set(node, order.get(node));
    stack.push(node);
    for (const next of edges.get(node) ?? []) {
      if (!order.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node), low.get(next)));
    }
    if (low.get(node) !== order.get(node)) return;
    found.push(stack.splice(stack.indexOf(node)).sort());
  };
  for (const node of [...edges.keys()].sort()) if (!order.has(node)) visit(node);
  return found;
}

/** The shortest circle through the first member, in alphabetical order of what is equally short. */
function shortestThrough(edges, members) {
  const [start] = members;
  const within = new Set(members);
  const ways = [[start]];
  const seen = new Set();
  for (const way of ways) {
    for (const next of [...(edges.get(way.at(-1)) ?? [])].sort()) {
      if (next === start) return [...way, start];
      if (!within.has(next) || seen.has(next)) continue;
      seen.add(next);
      ways.push([...way, next]);
    }
  }
  throw new Error('a component without a circle');
}
