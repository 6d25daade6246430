// Family tree of the chosen member: the member on top, the experts below, merges between them by depth.

function relatives(id) {
  const start = Object.keys(data.family).find((key) => key.startsWith(id));
  if (!start) return [];
  const found = new Set([start]);
  for (const key of found) for (const [parent] of data.family[key].parents) found.add(parent);
  return [...found];
}

function told(key) {
  const one = data.family[key];
  return [`${one.name} (${one.note})`, ...one.lines].join('\n');
}

function share(parent) {
  const [, mean, low, high] = parent;
  if (mean === undefined || mean === null) return '';
  return low === high ? number(mean) : `${number(mean)} (${number(low)} to ${number(high)})`;
}

function familyList(keys) {
  const items = keys.filter((key) => data.family[key].parents.length).map((key) => make('li', null, make('b', null, data.family[key].name), ` ${data.family[key].note}: `,
    data.family[key].parents.map((parent, n) => `${n ? ', ' : ''}${data.family[parent[0]].name} ${share(parent)}`.trimEnd()).join(''),
    data.family[key].lines.length ? make('span', { class: 'quiet' }, ` · ${data.family[key].lines.join(' · ')}`) : null));
  return make('details', null, make('summary', null, 'As a list'), make('ul', null, items));
}

function drawFamily() {
  const host = byId('family');
  if (!host) return;
  const open = [...host.querySelectorAll('details')].map((d) => d.open);
  clear(host);
  const keys = data.family ? relatives(state.member || '') : [];
  if (!keys.length) { host.append(make('p', { class: 'note' }, 'Not on this page: the recipe of this member is in evaluations.jsonl.')); return; }
  const levels = new Map();
  for (const key of keys) {
    const depth = data.family[key].depth;
    if (!levels.has(depth)) levels.set(depth, []);
    levels.get(depth).push(key);
  }
  const depths = [...levels.keys()].sort((a, b) => b - a);
  const box = 104, gap = 14, row = 86, most = Math.max(...depths.map((depth) => levels.get(depth).length));
  const width = Math.max(240, Math.min(host.clientWidth || 900, 900), most * (box + gap) + gap), height = depths.length * row - 30;
  const svg = draw('svg', { width, height, role: 'img', 'aria-label': `Family tree of member ${state.member}: ${keys.length - 1} ancestors; the list below says the same.` });
  const at = new Map();
  depths.forEach((depth, level) => levels.get(depth).forEach((key, n) => {
    at.set(key, [width * (n + 1) / (levels.get(depth).length + 1), level * row + 4]);
  }));
  const largest = Math.max(1e-9, ...keys.flatMap((key) => data.family[key].parents.map((parent) => Math.abs(parent[1] || 0))));
  for (const key of keys) {
    for (const parent of data.family[key].parents) {
      const [x, y] = at.get(key), [px, py] = at.get(parent[0]);
      const mean = parent[1], wide = mean === null || mean === undefined ? 1.5 : 0.75 + 5 * Math.abs(mean) / largest;
      svg.append(draw('path', { class: `kin${mean < 0 ? ' negative' : ''}`, d: `M${x} ${y + 44}C${x} ${y + 66} ${px} ${py - 22} ${px} ${py}`, 'stroke-width': wide.toFixed(2) },
        draw('title', null, `${data.family[key].name} has of ${data.family[parent[0]].name}: ${share(parent) || 'an unweighted part'}`)));
    }
  }
  for (const key of keys) {
    const [x, y] = at.get(key), one = data.family[key];
    svg.append(draw('g', { class: `relative${one.depth ? '' : ' expert'}` }, draw('title', null, told(key)),
      draw('rect', { x: x - box / 2, y, width: box, height: 44, rx: one.depth ? 6 : 0 }),
      draw('text', { x, y: y + 18, 'text-anchor': 'middle', class: 'strong' }, short(one.name, 14)),
      draw('text', { x, y: y + 34, 'text-anchor': 'middle', style: 'font-size:11px' }, short(one.under, 17))));
  }
  host.append(make('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Family tree' }, svg), familyList(keys));
  host.querySelectorAll('details').forEach((d, i) => { d.open = Boolean(open[i]); });
}
views.push(drawFamily);
