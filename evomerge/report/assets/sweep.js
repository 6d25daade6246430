// Fronts of all runs over each other, and the surfaces that shares of the runs attain.
const COLOURS = 8, SHAPES = 6;
const classOf = (n) => `k${n % COLOURS}`;
const groups = data.groups.map((g) => ({ ...g, split: g.shown, by: 'setting', x: 0, y: Math.min(1, g.objectives.length - 1), lit: null }));
const splitWords = { test: 'held-out scores', search: 'search scores' };
const searchStamp = 'search scores · optimistic';

// The categories that runs are told apart by: settings, or the values of one key.
function categories(g) { return g.by === 'setting' ? g.settings : g.keys[g.by]; }
function categoryOf(g, run) { return g.by === 'setting' ? run.setting : run.levels[Object.keys(g.keys).indexOf(g.by)]; }
const valueOf = (o, v) => number(v, isShare(o)) + after(o.unit);

// Marks of categories differ in shape as well as in colour.
function dot(n, x, y, r = 4) {
  const shape = n % SHAPES;
  const at = (points) => draw('path', { class: 'dot', d: `M${points.map(([a, b]) => `${(x + a * r).toFixed(1)} ${(y + b * r).toFixed(1)}`).join('L')}Z` });
  if (shape === 1) return at([[-1, -1], [1, -1], [1, 1], [-1, 1]]);
  if (shape === 2) return at([[0, -1.3], [1.25, 0.9], [-1.25, 0.9]]);
  if (shape === 3) return at([[0, -1.4], [1.4, 0], [0, 1.4], [-1.4, 0]]);
  if (shape === 4) return at([[0, 1.3], [1.25, -0.9], [-1.25, -0.9]]);
  if (shape === 5) return at([[-0.4, -1.3], [0.4, -1.3], [0.4, -0.4], [1.3, -0.4], [1.3, 0.4], [0.4, 0.4], [0.4, 1.3], [-0.4, 1.3], [-0.4, 0.4], [-1.3, 0.4], [-1.3, -0.4], [-0.4, -0.4]]);
  return draw('circle', { class: 'dot', cx: x.toFixed(1), cy: y.toFixed(1), r });
}

// Axes, grid and the stamp of a plane of two objectives.
function ground(x, y, box, ox, oy, split) {
  const [left, top, right, bottom] = box;
  const g = draw('g', { 'aria-hidden': 'true' }, draw('rect', { class: `ground ${split}`, x: left, y: top, width: right - left, height: bottom - top }));
  for (const t of x.ticks) {
    g.append(draw('line', { class: 'grid', x1: x(t), x2: x(t), y1: top, y2: bottom }));
    g.append(draw('text', { x: x(t), y: bottom + 17, 'text-anchor': 'middle' }, tickLabel(t, x.step, isShare(ox))));
  }
  if (y) for (const t of y.ticks) {
    g.append(draw('line', { class: 'grid', x1: left, x2: right, y1: y(t), y2: y(t) }));
    g.append(draw('text', { x: left - 7, y: y(t) + 4, 'text-anchor': 'end' }, tickLabel(t, y.step, isShare(oy))));
  }
  g.append(draw('line', { class: 'axis', x1: left, x2: right, y1: bottom, y2: bottom }));
  const room = Math.max(12, Math.floor((right - left) / 8) - 12);
  const arrow = (o, more, less) => (o.plain ? '' : o.higher ? more : less);
  g.append(draw('text', { class: 'strong', x: right, y: bottom + 36, 'text-anchor': 'end' }, short(ox.label, room) + inUnit(ox) + arrow(ox, ' →', ' (← lower is better)')));
  if (y) g.append(draw('text', { class: 'strong', x: 0, y: 12 }, short(oy.label, room) + inUnit(oy) + arrow(oy, ' ↑', ' (↓ lower is better)')));
  if (split === 'search') g.append(draw('text', { class: 'stamp', x: right - 6, y: top - 7, 'text-anchor': 'end' }, searchStamp));
  return g;
}

// The border of what points reach on two axes, continued to the plane's edges; also of points that come sorted.
function border(points, x, y, ox, oy) {
  const sx = ox.higher ? 1 : -1, sy = oy.higher ? 1 : -1;
  const keep = (at, v) => at(Math.max(at.low, Math.min(at.high, v))).toFixed(1);
  const endX = keep(x, ox.higher ? x.low : x.high), endY = keep(y, oy.higher ? y.low : y.high);
  const sorted = [...points].sort((a, b) => sx * (b[0] - a[0]) || sy * (b[1] - a[1]));
  const corners = [];
  let best = -Infinity;
  for (const [a, b] of sorted) {
    if (sy * b <= best) continue;
    best = sy * b;
    const px = keep(x, a), py = keep(y, b);
    corners.push([px, corners.length ? corners[corners.length - 1][1] : endY], [px, py]);
  }
  corners.push(corners.length ? [endX, corners[corners.length - 1][1]] : [endX, endY]);
  return corners;
}
const pathOf = (corners) => `M${corners.map((c) => c.join(' ')).join('L')}`;

function legend(g, redraw) {
  return make('ul', { class: 'legend', 'aria-label': 'Runs by colour and shape' }, categories(g).map((name, n) => make('li', null,
    make('button', { type: 'button', class: 'light', 'aria-pressed': String(g.lit === n), title: `${name}: bring out`, on: { click: () => { g.lit = g.lit === n ? null : n; redraw(n); } } },
      draw('svg', { width: 16, height: 16, 'aria-hidden': 'true' }, draw('g', { class: classOf(n) }, dot(n, 8, 8, 4.5))), make('span', null, short(name, 64))))));
}
const several = (g) => g.objectives.length > 1;
const faded = (g, n) => (g.lit !== null && g.lit !== n ? ' faded' : '');

function frontsPlane(g, width) {
  const height = Math.round(Math.max(320, Math.min(520, width * 0.62)));
  const box = [46, 26, width - 12, height - 44];
  const ox = g.objectives[g.x], oy = g.objectives[g.y];
  const shown = g.runs.filter((r) => r[g.split]);
  const references = g.baselines[g.split];
  const reach = (i) => extent([...shown.flatMap((r) => r[g.split].map((p) => p[i])), ...references.map((b) => b[2 + i])], 0.06);
  const x = scale(...reach(g.x), box[0], box[2], Math.max(3, Math.round(width / 110)));
  const y = scale(...reach(g.y), box[3], box[1], 6);
  const svg = draw('svg', { width, height, role: 'img', 'aria-label': `Fronts of ${shown.length} runs, ${ox.label} against ${oy.label}, ${splitWords[g.split]}. Scores of every run are in the table of jobs.` });
  svg.append(ground(x, y, box, ox, oy, g.split));
  for (const r of [...shown].sort((a, b) => (categoryOf(g, a) === g.lit) - (categoryOf(g, b) === g.lit))) {
    const n = categoryOf(g, r);
    const points = r[g.split].map((p) => [p[g.x], p[g.y]]);
    svg.append(draw('g', { class: `${classOf(n)}${faded(g, n)}` }, draw('title', null, r.name),
      draw('path', { class: 'front-line', d: pathOf(border(points, x, y, ox, oy)) }),
      points.map(([a, b]) => dot(n, x(a), y(b)))));
  }
  references.forEach(([name, kind, ...s], n) => svg.append(draw('g', { class: `baseline ${kind}` }, draw('title', null, name), glyph(kind, x(s[g.x]), y(s[g.y]), expertDigit(references, n)))));
  return svg;
}
function expertDigit(references, n) { return references[n][1] === 'expert' ? String(references.slice(0, n + 1).filter((b) => b[1] === 'expert').length) : ''; }

// Of one objective: a row for each category, a mark for each run, a line at their mean.
function frontsRows(g, width) {
  const [o] = g.objectives;
  const names = categories(g);
  const of = names.map((_, n) => g.runs.filter((r) => r[`chosen_${g.split}`] && categoryOf(g, r) === n).map((r) => ({ r, v: r[`chosen_${g.split}`][0] })));
  const references = g.baselines[g.split];
  const nameWidth = Math.min(260, width * 0.36);
  const rows = names.length + references.length;
  const height = 26 + 26 * rows + 44;
  const box = [nameWidth, 26, width - 12, height - 44];
  const x = scale(...extent([...of.flat().map((p) => p.v), ...references.map((b) => b[2])], 0.06), box[0], box[2], Math.max(3, Math.round(width / 120)));
  const svg = draw('svg', { width, height, role: 'img', 'aria-label': `${o.label} of each run, ${splitWords[g.split]}. The numbers are in the table of jobs.` });
  svg.append(ground(x, null, box, o, null, g.split));
  const label = (text, row) => draw('text', { x: nameWidth - 10, y: 26 + 26 * row + 17, 'text-anchor': 'end', 'aria-hidden': 'true' }, short(text, Math.floor(nameWidth / 7.2)), draw('title', null, text));
  names.forEach((name, n) => {
    const y = 26 + 26 * n + 13;
    const mean = of[n].reduce((sum, p) => sum + p.v, 0) / of[n].length;
    svg.append(label(name, n), draw('g', { class: `${classOf(n)}${faded(g, n)}` },
      of[n].length ? draw('line', { class: 'mean', x1: x(mean), x2: x(mean), y1: y - 10, y2: y + 10 }, draw('title', null, `mean ${valueOf(o, mean)}`)) : null,
      of[n].map((p) => draw('g', null, draw('title', null, `${p.r.name}: ${valueOf(o, p.v)}`), dot(n, x(p.v), y)))));
  });
  references.forEach(([name, kind, value], n) => svg.append(label(name, names.length + n),
    draw('g', { class: `baseline ${kind}` }, draw('title', null, `${name}: ${valueOf(o, value)}`), glyph(kind, x(value), 26 + 26 * (names.length + n) + 13, expertDigit(references, n)))));
  return svg;
}

function drawFronts(g, i) {
  const host = byId(`fronts-${i}`);
  const redraw = (n) => { drawFronts(g, i); const b = host.querySelectorAll('.light')[n]; if (b) b.focus({ preventScroll: true }); };
  const references = g.baselines[g.split].map(([name, kind], n) => legendEntry(kind, name, `baseline ${kind}`, expertDigit(g.baselines[g.split], n)));
  clear(host).append((several(g) ? frontsPlane : frontsRows)(g, Math.max(240, host.clientWidth)), legend(g, redraw),
    several(g) && references.length ? make('ul', { class: 'legend' }, references) : '');
  const missing = g.runs.filter((r) => !r[g.split]).length;
  const what = g.split === 'test'
    ? several(g) ? 'Held-out scores of the confirmed members of each run, and the border of what they reach.' : 'Held-out score of the member of each run that is best by the scores which finalists were chosen by; a line at the mean.'
    : several(g) ? 'Search scores of the front of each run: members were selected by them, so they flatter.' : 'Best search score of each run, which flatters; a line at the mean.';
  clear(byId(`fronts-caption-${i}`)).append(what + (missing ? ` ${missing} of ${g.runs.length} runs have none and are not shown.` : '')
    + (references.length ? '' : ' Baselines are not shown: they differ between the runs.') + ' A name in the legend brings its runs out.');
}

// One panel per setting: its median surface, the band of the middle half, and the other medians.
function surfacePanel(g, n, surfaces, ox, oy, split) {
  const host = make('div', null, make('h3', { title: g.settings[n] }, short(g.settings[n], 64)));
  const width = Math.max(240, g.panel);
  const height = Math.round(width * 0.72);
  const box = [46, 26, width - 8, height - 44];
  const all = surfaces.flat(2);
  const x = ox.plain ? scale(0, Math.max(1, ...g.runs.map((r) => r.candidates)), box[0], box[2], 4) : scale(...extent(all.map((p) => p[0]), 0.06), box[0], box[2], 4);
  const y = scale(...extent(all.map((p) => p[1]), 0.06), box[3], box[1], 5);
  const runs = g.runs.filter((r) => r.setting === n && r[split]).length;
  const svg = draw('svg', { width, height, role: 'img', 'aria-label': `Attainment of ${g.settings[n]}, ${runs} runs: ${oy.label} against ${ox.label}` });
  svg.append(ground(x, y, box, ox, oy, split));
  surfaces.forEach((s, other) => { if (other !== n && s.length && s[1].length) svg.append(draw('path', { class: 'other', d: pathOf(border(s[1], x, y, ox, oy)) }, draw('title', null, g.settings[other]))); });
  const own = surfaces[n];
  if (own.length) {
    const [best, median, worst] = own.map((s) => border(s, x, y, ox, oy));
    const marks = [draw('path', { class: 'band', d: `${pathOf(best)}L${[...worst].reverse().map((c) => c.join(' ')).join('L')}Z` })];
    if (own[1].length) marks.push(draw('path', { class: 'median', d: pathOf(median) }));
    svg.append(draw('g', { class: classOf(n) }, marks));
  }
  host.append(svg, make('p', { class: 'note' }, runs === 1 ? `One run: every surface is its ${several(g) ? 'front' : 'course'}.` : runs ? `${runs} runs` : 'No run'));
  return host;
}
function drawSurfaces(g, i) {
  const host = byId(`surfaces-${i}`);
  if (!host) return;
  const width = host.clientWidth;
  const columns = Math.max(1, Math.min(g.settings.length, Math.floor((width + 28) / 328)));
  g.panel = Math.min(560, Math.floor((width - 28 * (columns - 1)) / columns));
  const [a, b] = [Math.min(g.x, g.y), Math.max(g.x, g.y)];
  const split = several(g) ? g.split : 'search';
  const surfaces = !several(g) ? g.courses : a === b ? null : (g.surfaces[split] || {})[`${a}-${b}`];
  const axes = several(g) ? [g.objectives[a], g.objectives[b]] : [{ label: 'candidates', unit: '', higher: false, plain: true }, g.objectives[0]];
  clear(host).append(...(surfaces ? g.settings.map((_, n) => surfacePanel(g, n, surfaces, ...axes, split)) : [make('p', { class: 'note' }, 'Choose two different objectives.')]));
}

groups.forEach((g, i) => {
  const all = () => { drawFronts(g, i); drawSurfaces(g, i); };
  views.push(all);
  for (const radio of document.querySelectorAll(`input[name="split-${i}"]`)) radio.addEventListener('change', () => { if (radio.checked) { g.split = radio.value; all(); } });
  const by = byId(`by-${i}`);
  if (by) by.addEventListener('change', () => { g.by = by.value; g.lit = null; drawFronts(g, i); });
  for (const axis of ['x', 'y']) {
    const select = byId(`axis-${axis}-${i}`);
    if (select) select.addEventListener('change', () => { g[axis] = Number(select.value); all(); });
  }
});
let drawnWidth = document.body.clientWidth;
addEventListener('resize', () => {
  if (document.body.clientWidth === drawnWidth) return;
  drawnWidth = document.body.clientWidth;
  refresh();
});
refresh();
