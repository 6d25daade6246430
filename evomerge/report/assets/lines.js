// Progress over evaluations, and parallel coordinates.
function progressPanel(title, i, steps, levels, points, unit) {
  const percent = unit === '%';
  const host = make('div', null, make('h3', null, title));
  const width = Math.max(240, panelWidth());
  const height = 190;
  const total = Math.max(1, data.trace.total);
  const values = [...steps.map((s) => s[1]), ...levels.filter((l) => l.kind !== 'base').map((l) => l.value)];
  const cloudValues = points.map((p) => p[1]).sort((a, b) => a - b);
  if (cloudValues.length) {
    const good = objectives[i].higher;
    values.push(cloudValues[Math.floor(cloudValues.length * (good ? 0.25 : 0))], cloudValues[Math.floor((cloudValues.length - 1) * (good ? 1 : 0.75))]);
  }
  const x = scale(0, total, 46, width - 8, 4);
  const y = scale(...extent(values, 0.06), height - 26, 8, 4);
  const last = steps.length ? steps[steps.length - 1][1] : null;
  const svg = draw('svg', { width, height, role: 'img', 'aria-label': `${title} over ${total} candidates; last ${number(last, percent)}${after(unit)}` });
  for (const t of y.ticks) {
    svg.append(draw('line', { class: 'grid', x1: 46, x2: width - 8, y1: y(t), y2: y(t) }));
    svg.append(draw('text', { x: 39, y: y(t) + 4, 'text-anchor': 'end' }, tickLabel(t, y.step, percent)));
  }
  for (const t of x.ticks.filter((v) => Number.isInteger(v))) svg.append(draw('text', { x: x(t), y: height - 9, 'text-anchor': t === 0 ? 'start' : x(t) > width - 30 ? 'end' : 'middle' }, String(t)));
  for (const [k, v] of points) if (v >= y.low && v <= y.high) svg.append(draw('circle', { class: 'cloud', cx: x(k).toFixed(1), cy: y(v).toFixed(1), r: 1.8 }));
  for (const l of levels) if (l.value >= y.low && l.value <= y.high) svg.append(draw('line', { class: `level ${l.kind}`, x1: 46, x2: width - 8, y1: y(l.value), y2: y(l.value) }, draw('title', null, l.name)));
  if (steps.length) {
    const path = steps.map(([k, v], n) => (n ? `H${x(k)}V${y(v)}` : `M${x(k)} ${y(v)}`)).join('') + `H${x(total)}`;
    svg.append(draw('path', { class: 'line', d: path }));
  }
  host.append(svg, make('ul', { class: 'legend' }, levels.map((l) => make('li', { title: l.name },
    draw('svg', { width: 22, height: 8, 'aria-hidden': 'true' }, draw('line', { class: `level ${l.kind}`, x1: 0, x2: 22, y1: 4, y2: 4 })), make('span', null, `${l.name} ${number(l.value, percent)}${l.value < y.low ? ', below' : l.value > y.high ? ', above' : ''}`)))));
  return host;
}
// As the stylesheet lays the panels out: as many columns of at least 300 px as fit, 28 px apart.
function panelWidth() {
  const width = byId('progress').clientWidth;
  const panels = objectives.length + (data.trace.hypervolume.length ? 1 : 0);
  const columns = Math.max(1, Math.min(panels, Math.floor((width + 28) / 328)));
  return Math.floor((width - 28 * (columns - 1)) / columns);
}
function levelsOf(i) {
  const pick = (kind) => data.baselines.filter((b) => b.kind === kind && b.search);
  const experts = pick('expert').sort((a, b) => (objectives[i].higher ? -1 : 1) * (a.search[i][0] - b.search[i][0]));
  return [...experts.slice(0, 1).map((b) => ['expert', `best expert (${b.short})`, b]), ...pick('uniform').map((b) => ['uniform', b.short, b]), ...pick('base').map((b) => ['base', b.short, b])]
    .map(([kind, name, b]) => ({ kind, name, value: b.search[i][0] }));
}
function drawProgress() {
  const host = byId('progress');
  if (!host) return;
  clear(host);
  const t = data.trace;
  objectives.forEach((o, i) => host.append(progressPanel(o.label + inUnit(o) + (o.higher ? '' : ' (lower is better)'), i, t.best[i], levelsOf(i), t.points.map((p) => [p[0], p[2 + i]]), o.unit)));
  if (t.hypervolume.length) host.append(progressPanel('Hypervolume', 0, t.hypervolume, t.baselines === null ? [] : [{ kind: 'uniform', name: 'baselines alone', value: t.baselines }], [], ''));
}
views.push(() => { if (byId('progress') && !byId('progress').firstChild) drawProgress(); });

function drawParallel() {
  const host = byId('parallel');
  if (!host) return;
  clear(host);
  const width = Math.max(240, host.clientWidth);
  const height = 320;
  const shown = data.members.filter(scoresOf);
  const references = data.baselines.filter(scoresOf);
  const side = Math.min(70, width / (2 * objectives.length));
  const at = (i) => side + (width - 2 * side) * i / (objectives.length - 1);
  const axes = objectives.map((o, i) => {
    const range = extent([...shown, ...references].map((t) => scoresOf(t)[i][0]), 0.04);
    return o.higher ? scale(...range, height - 22, 46, 5) : scale(...range, 46, height - 22, 5);
  });
  const path = (t) => axes.map((y, i) => `${i ? 'L' : 'M'}${at(i).toFixed(1)} ${y(scoresOf(t)[i][0]).toFixed(1)}`).join('');
  const svg = draw('svg', { width, height, role: 'img', 'aria-label': `Parallel coordinates of ${shown.length} members over ${objectives.length} objectives; better is up. All values are in the table of members.` });
  svg.append(draw('rect', { class: `ground ${state.split}`, x: 0, y: 40, width, height: height - 56 }));
  if (stamps[state.split]) svg.append(draw('text', { class: 'stamp', x: width - 6, y: height - 3, 'text-anchor': 'end' }, stamps[state.split]));
  for (const b of references) svg.append(draw('path', { class: `level ${b.kind}`, d: path(b) }, draw('title', null, b.short)));
  const lines = shown.map((m) => draw('path', { class: `parallel-line${m.wins ? ' wins' : ''}${m.id === state.member ? ' on' : ''}`, d: path(m), on: { click: () => choose(m.id) } }, draw('title', null, describe(m))));
  svg.append(...lines.filter((l) => !l.classList.contains('on')), ...lines.filter((l) => l.classList.contains('on')));
  objectives.forEach((o, i) => {
    svg.append(draw('line', { class: 'axis', x1: at(i), x2: at(i), y1: 46, y2: height - 22 }));
    const anchor = i === 0 ? 'start' : i === objectives.length - 1 ? 'end' : 'middle';
    const name = short(o.label, Math.max(8, Math.floor((width / objectives.length) / 7.2)));
    svg.append(draw('text', { class: 'strong', x: i === 0 ? 0 : i === objectives.length - 1 ? width : at(i), y: 14, 'text-anchor': anchor }, name, draw('title', null, o.label)));
    svg.append(draw('text', { x: i === 0 ? 0 : i === objectives.length - 1 ? width : at(i), y: 30, 'text-anchor': anchor, style: 'font-size:11px' }, (isShare(o) ? '%' : '') + (o.higher ? '' : ' lower is better')));
    for (const t of axes[i].ticks) svg.append(draw('text', { x: at(i) - 6, y: axes[i](t) + 4, 'text-anchor': 'end', class: 'halo', style: 'font-size:11px' }, tickLabel(t, axes[i].step, isShare(o))));
  });
  const end = objectives.length - 1;
  for (const b of references) svg.append(draw('g', { class: `baseline ${b.kind}`, 'aria-hidden': 'true' }, glyph(b.kind, at(end) + 12, axes[end](scoresOf(b)[end][0]), b.digit)));
  host.append(svg, make('ul', { class: 'legend' }, references.map((b) => legendEntry(b.kind, b.short, `baseline ${b.kind}`, b.digit))));
  clear(byId('parallel-caption')).append(`${{ test: 'Held-out', selection: 'Selection', search: 'Search' }[state.split]} scores; better is up on every axis. The heavy line is member ${state.member}; stronger lines beat a best expert.`);
}
views.push(drawParallel);
