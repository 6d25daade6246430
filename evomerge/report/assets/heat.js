// Coefficients of the chosen member: layers across, models down; groups outside the layers beside them.
const SEQUENTIAL = [[244, 244, 238], [198, 219, 232], [107, 174, 206], [33, 113, 161], [8, 48, 92]];
const DIVERGING = [[122, 52, 4], [217, 124, 45], [246, 226, 204], [247, 247, 245], [205, 222, 234], [58, 134, 180], [8, 48, 92]];

function shade(value, low, high) {
  const ramp = low < 0 ? DIVERGING : SEQUENTIAL;
  const reach = Math.max(-low, high);
  const t = low < 0 ? (value + reach) / (2 * reach || 1) : (value - low) / (high - low || 1);
  const at = Math.max(0, Math.min(1, t)) * (ramp.length - 1);
  const i = Math.min(ramp.length - 2, Math.floor(at));
  return ramp[i].map((c, k) => Math.round(c + (at - i) * (ramp[i + 1][k] - c)));
}
const css = (rgb) => `rgb(${rgb.join(',')})`;
const inkOn = (rgb) => (0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 140 ? '#1b1b1a' : '#ffffff');

// The table that holds the chosen member: members that are merged from other models have one of their own.
const tables = () => (data.coefficients ? [data.coefficients, ...(data.coefficients.others || [])] : []);
const shownTable = () => tables().find((t) => t.values[state.member]);

function limits(index) {
  let low = 0, high = -Infinity;
  for (const values of Object.values(shownTable().values)) {
    values[index].forEach((row, g) => {
      if (shownTable().groups[g].frozen) return;
      for (const v of [row].flat()) { low = Math.min(low, v); high = Math.max(high, v); }
    });
  }
  return [low, high > low ? high : low + 1];
}

// The one value that a coefficient has wherever it is used, or null.
function constant(index) {
  const seen = new Set();
  for (const values of Object.values(shownTable().values)) {
    values[index].forEach((row, g) => { if (!shownTable().groups[g].frozen) [row].flat().forEach((v) => seen.add(v)); });
  }
  return seen.size === 1 ? [...seen][0] : null;
}

// Layered groups by module kinds: one strip each. Other groups stand beside the strips.
function facets() {
  const strips = new Map();
  const own = [];
  shownTable().groups.forEach((group, g) => {
    if (!group.layers) { own.push({ group, g }); return; }
    const key = group.kinds.join(' + ');
    if (!strips.has(key)) strips.set(key, []);
    strips.get(key).push({ group, g });
  });
  return { strips: [...strips], own };
}

function cell(x, y, width, height, value, range, title, frozen) {
  if (frozen) {
    return [draw('rect', { class: 'cell hatch', x, y, width, height }, draw('title', null, `${title}: frozen`)),
      width >= 44 ? draw('text', { x: x + width / 2, y: y + height / 2 + 4, 'text-anchor': 'middle', style: 'font-size:11px' }, 'frozen') : null];
  }
  const rgb = shade(value, ...range);
  const nodes = [draw('rect', { class: 'cell', x, y, width, height, fill: css(rgb) }, draw('title', null, `${title}: ${number(value)}`))];
  if (width >= 34) nodes.push(draw('text', { x: x + width / 2, y: y + height / 2 + 4, 'text-anchor': 'middle', style: `fill:${inkOn(rgb)};font-size:11px` }, value.toFixed(2).replace('-', '−')));
  return nodes;
}

function strip(entries, names, values, range, width, nameWidth, title) {
  const first = Math.min(...entries.map((e) => e.group.layers[0]));
  const last = Math.max(...entries.map((e) => e.group.layers[1]));
  const unit = Math.min(60, (width - nameWidth - 2) / (last - first));
  const row = 22;
  const height = row * names.length + 34;
  const svg = draw('svg', { width, height, role: 'img', 'aria-label': `${title} by layer and model of member ${state.member}; the values are in the table below.` });
  svg.append(draw('text', { x: nameWidth, y: 11, class: 'strong' }, title));
  names.forEach((name, n) => {
    const y = 17 + row * n;
    svg.append(draw('text', { x: nameWidth - 8, y: y + 15, 'text-anchor': 'end' }, short(name, Math.floor(nameWidth / 7.4)), draw('title', null, name)));
    for (const { group, g } of entries) {
      const value = [values[g]].flat()[n];
      const x = nameWidth + unit * (group.layers[0] - first);
      svg.append(...cell(x, y, unit * (group.layers[1] - group.layers[0]), row, value, range, `${group.label}, ${name}`, group.frozen).filter(Boolean));
    }
  });
  const every = Math.max(1, Math.ceil(26 / unit));
  for (let layer = first; layer < last; layer += every) {
    svg.append(draw('text', { x: nameWidth + unit * (layer - first + 0.5), y: height - 4, 'text-anchor': 'middle', style: 'font-size:11px' }, String(layer)));
  }
  return svg;
}

function ownGroups(entries, names, values, range, width, nameWidth) {
  const unit = Math.max(52, Math.min(96, (width - nameWidth - 2) / entries.length));
  const perRow = Math.max(1, Math.floor((width - nameWidth - 2) / unit));
  const blocks = [];
  for (let from = 0; from < entries.length; from += perRow) {
    const part = entries.slice(from, from + perRow);
    const height = 22 * names.length + 34;
    const svg = draw('svg', { width: nameWidth + unit * part.length + 2, height, role: 'img', 'aria-label': `Groups outside the layers: ${part.map((e) => e.group.label).join(', ')}; the values are in the table below.` });
    part.forEach(({ group, g }, k) => {
      svg.append(draw('text', { x: nameWidth + unit * (k + 0.5), y: 11, 'text-anchor': 'middle', class: 'strong', style: 'font-size:11px' }, short(group.label, Math.floor(unit / 6.4)), draw('title', null, group.label)));
      names.forEach((name, n) => {
        svg.append(...cell(nameWidth + unit * k, 17 + 22 * n, unit, 22, [values[g]].flat()[n], range, `${group.label}, ${name}`, group.frozen).filter(Boolean));
      });
    });
    names.forEach((name, n) => svg.append(draw('text', { x: nameWidth - 8, y: 17 + 22 * n + 15, 'text-anchor': 'end' }, short(name, Math.floor(nameWidth / 7.4)), draw('title', null, name))));
    blocks.push(make('div', null, svg));
  }
  return blocks;
}

function scaleBar(range) {
  const svg = draw('svg', { width: 140, height: 12, 'aria-hidden': 'true' });
  for (let i = 0; i < 35; i++) {
    const low = range[0] < 0 ? -Math.max(-range[0], range[1]) : range[0];
    const high = range[0] < 0 ? -low : range[1];
    svg.append(draw('rect', { x: 4 * i, y: 0, width: 4.5, height: 12, fill: css(shade(low + (high - low) * i / 34, ...range)) }));
  }
  const low = range[0] < 0 ? -Math.max(-range[0], range[1]) : range[0];
  return make('div', { class: 'scale' }, make('span', null, number(low)), svg, make('span', null, number(range[0] < 0 ? -low : range[1])),
    make('span', null, tables().length > 1 ? 'same scale for every member that merges these models' : 'same scale for every member'));
}

function valueTable(index, names, values) {
  const head = make('tr', null, make('th', { scope: 'col' }, 'group'), names.map((name) => make('th', { scope: 'col', class: 'num' }, make('span', { class: 'clip', title: name }, name))));
  const lines = shownTable().groups.map((group, g) => make('tr', null, make('th', { scope: 'row' }, group.label),
    [values[g]].flat().map((v) => make('td', { class: 'num' }, group.frozen ? 'frozen' : number(v)))));
  return make('details', null, make('summary', null, 'Values as a table'),
    make('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `Values of ${shownTable().names[index]}` },
      make('table', { class: 'plain' }, make('thead', null, head), make('tbody', null, lines))));
}

function drawHeat() {
  const host = byId('heat');
  if (!host || !data.coefficients) return;
  const open = [...host.querySelectorAll('details')].map((d) => d.open);
  clear(host);
  const all = shownTable() && shownTable().values[state.member];
  if (!all) { host.append(make('p', { class: 'note' }, 'Not on this page, to keep it small: the recipe of this member is in evaluations.jsonl.')); return; }
  const { strips, own } = facets();
  const width = Math.max(240, host.clientWidth);
  shownTable().names.forEach((name, index) => {
    const shared = !Array.isArray(all[index][0]);
    const names = shared ? ['all models'] : shownTable().models;
    const range = limits(index);
    const nameWidth = Math.min(width * 0.32, 190, Math.max(60, 7.4 * Math.max(...names.map((n) => n.length)) + 12));
    const fixed = constant(index);
    if (fixed !== null) {
      host.append(make('h3', null, name), make('p', { class: 'note' }, `${number(fixed)} everywhere in every member${tables().length > 1 ? ' that merges these models' : ''}.`));
      return;
    }
    host.append(make('h3', null, name));
    const columns = strips.length > 1 && width > 760 ? 2 : 1;
    const each = Math.floor((width - 28 * (columns - 1)) / columns) - 1;
    const blocks = strips.map(([kinds, entries]) => make('div', null, strip(entries, names, all[index], range, each, nameWidth, kinds || 'layer')));
    host.append(make('div', { class: 'heat-row' }, blocks, own.length ? ownGroups(own, names, all[index], range, width, nameWidth) : null));
    host.append(scaleBar(range), valueTable(index, names, all[index]));
  });
  host.querySelectorAll('details').forEach((d, i) => { d.open = Boolean(open[i]); });
}
views.push(drawHeat);
