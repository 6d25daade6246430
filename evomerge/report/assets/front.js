// The main figure: two objectives against each other, or the scores of one in rows.
const frontPlot = byId('front-plot');
let tip = null;

const scoresOf = (thing) => thing[state.split];
// Intervals are drawn where the members were not found by these very scores.
const withBars = () => state.split !== 'search';
const stamps = { search: 'search scores · optimistic', selection: 'selection scores · finalists were chosen by them' };

function describe(m) {
  const scores = scoresOf(m);
  const parts = objectives.map((o, i) => {
    const versus = state.split === 'test' && m.versus[i] ? `, ${m.versus[i][4]}` : '';
    return `${o.label} ${withUnits(scores[i], i)} ${ends(scores[i], i)}${versus}`;
  });
  return `Member ${m.id}${m.knee ? `, ${data.knee}` : ''}: ${parts.join('; ')}`;
}

function showTip(lines, x, y) {
  clear(tip).append(...lines.map((line) => make('div', null, line)));
  tip.hidden = false;
  const width = frontPlot.clientWidth;
  const left = x + 14 + tip.offsetWidth > width ? Math.max(0, x - 14 - tip.offsetWidth) : x + 14;
  tip.style.left = `${left}px`;
  tip.style.top = `${Math.max(0, y - tip.offsetHeight / 2)}px`;
}
function tipLines(title, scores) {
  return [title, ...objectives.map((o, i) => `${short(o.label, 34)}: ${withUnits(scores[i], i)} ${ends(scores[i], i)}`)];
}

function whiskers(x, y, sx, sy) {
  const lines = [];
  if (sx && sx[1] !== null && sx[2] !== null) lines.push(draw('line', { class: 'whisker', x1: x.at(sx[1]), x2: x.at(sx[2]), y1: y.of, y2: y.of }));
  if (sy && sy[1] !== null && sy[2] !== null) lines.push(draw('line', { class: 'whisker', x1: x.of, x2: x.of, y1: y.at(sy[1]), y2: y.at(sy[2]) }));
  return lines;
}

// One member as a radio button of the figure: Tab reaches the chosen one, arrow keys move along.
function memberMark(m, x, y, bars) {
  const on = m.id === state.member;
  const say = () => showTip(tipLines(`${m.id}${m.knee ? ` · ${data.knee}` : ''}`, scoresOf(m)), x, y);
  return draw('g', {
    class: `member${m.wins && state.split === 'test' ? ' wins' : ''}${on ? ' on' : ''}`,
    role: 'radio', 'aria-checked': String(on), tabindex: on ? 0 : -1, 'aria-label': describe(m), 'data-member': m.id,
    on: {
      click: () => { choose(m.id); focusMember(m.id); },
      mouseenter: say, focus: say, mouseleave: () => { tip.hidden = true; }, blur: () => { tip.hidden = true; },
    },
  }, bars, glyph('member', x, y));
}
function focusMember(id) {
  const node = [...frontPlot.querySelectorAll('.member')].find((n) => n.dataset.member === id);
  if (node) node.focus({ preventScroll: true });
}
function moveWithKeys(order) {
  return (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    let next = null;
    const at = order.findIndex((m) => m.id === state.member);
    if (step) next = order[(at + step + order.length) % order.length];
    if (event.key === 'Home') next = order[0];
    if (event.key === 'End') next = order[order.length - 1];
    if (!next) return;
    event.preventDefault();
    choose(next.id);
    focusMember(next.id);
  };
}
function baselineMark(b, x, y, bars) {
  const say = () => showTip(tipLines(b.short, scoresOf(b)), x, y);
  return draw('g', { class: `baseline ${b.kind}`, on: { mouseenter: say, mouseleave: () => { tip.hidden = true; } } },
    bars, glyph(b.kind, x, y, b.digit));
}

function frame(x, y, box, xi, yi) {
  const [left, top, right, bottom] = box;
  const g = draw('g', { 'aria-hidden': 'true' });
  g.append(draw('rect', { class: `ground ${state.split}`, x: left, y: top, width: right - left, height: bottom - top }));
  for (const t of x.ticks) {
    g.append(draw('line', { class: 'grid', x1: x(t), x2: x(t), y1: top, y2: bottom }));
    g.append(draw('text', { x: x(t), y: bottom + 17, 'text-anchor': 'middle' }, tickLabel(t, x.step, isShare(objectives[xi]))));
  }
  if (y) for (const t of y.ticks) {
    g.append(draw('line', { class: 'grid', x1: left, x2: right, y1: y(t), y2: y(t) }));
    g.append(draw('text', { x: left - 7, y: y(t) + 4, 'text-anchor': 'end' }, tickLabel(t, y.step, isShare(objectives[yi]))));
  }
  g.append(draw('line', { class: 'axis', x1: left, x2: right, y1: bottom, y2: bottom }));
  g.append(draw('text', { class: 'strong', x: right, y: bottom + 36, 'text-anchor': 'end' }, axisName(xi, right - left)));
  if (stamps[state.split]) g.append(draw('text', { class: 'stamp', x: right - 6, y: top + 15, 'text-anchor': 'end' }, stamps[state.split]));
  return g;
}
function axisName(i, width) {
  const o = objectives[i];
  return short(o.label, Math.max(12, Math.floor(width / 8) - 12)) + inUnit(o) + (o.higher ? ' →' : ' (← lower is better)');
}

function plane(width) {
  const height = Math.round(Math.max(320, Math.min(500, width * 0.72)));
  const box = [46, 26, width - 12, height - 44];
  const { x: xi, y: yi } = state;
  const shown = data.members.filter((m) => scoresOf(m));
  const references = data.baselines.filter((b) => scoresOf(b));
  const bars = withBars() && shown.length <= 25;
  const reach = (i) => extent((state.zoom ? shown : [...shown, ...references]).flatMap((t) => {
    const s = scoresOf(t)[i];
    return bars || (t.kind && withBars()) ? s : [s[0]];
  }), 0.07);
  const x = scale(...reach(xi), box[0], box[2], Math.max(3, Math.round(width / 110)));
  const y = scale(...reach(yi), box[3], box[1], 6);
  const svg = draw('svg', { width, height, role: 'radiogroup', 'aria-label': `Members of the front: ${objectives[xi].label} against ${objectives[yi].label}. Arrow keys choose a member.` });
  svg.append(frame(x, y, box, xi, yi));
  svg.append(draw('text', { class: 'strong', x: 0, y: 12, 'aria-hidden': 'true' },
    short(objectives[yi].label, Math.max(12, Math.floor(width / 8) - 10)) + inUnit(objectives[yi]) + (objectives[yi].higher ? ' ↑' : ' (↓ lower is better)')));
  let outside = 0;
  if (state.split === 'search') {
    const cloud = draw('g', { 'aria-hidden': 'true' });
    for (const [, , ...s] of data.trace.points) {
      const inside = s[xi] >= x.low && s[xi] <= x.high && s[yi] >= y.low && s[yi] <= y.high;
      if (inside) cloud.append(draw('circle', { class: 'cloud', cx: x(s[xi]).toFixed(1), cy: y(s[yi]).toFixed(1), r: 2 }));
      else outside++;
    }
    svg.append(cloud);
  }
  svg.append(staircase(shown, x, y, xi, yi));
  const beyond = [];
  for (const b of references) {
    const s = scoresOf(b);
    const of = [x(s[xi][0]), y(s[yi][0])];
    const kept = [Math.max(box[0], Math.min(box[2], of[0])), Math.max(box[1], Math.min(box[3], of[1]))];
    const out = kept[0] !== of[0] || kept[1] !== of[1];
    if (out) beyond.push(b.short);
    svg.append(baselineMark(b, ...kept, withBars() && !out ? whiskers({ at: clamp(x), of: of[0] }, { at: clamp(y), of: of[1] }, s[xi], s[yi]) : []));
  }
  const order = [...shown].sort((a, b) => scoresOf(a)[xi][0] - scoresOf(b)[xi][0]);
  for (const m of [...order.filter((o) => o.id !== state.member), ...order.filter((o) => o.id === state.member)]) {
    const s = scoresOf(m);
    const of = [x(s[xi][0]), y(s[yi][0])];
    const both = withBars() && (bars || m.id === state.member);
    svg.append(memberMark(m, ...of, both ? whiskers({ at: clamp(x), of: of[0] }, { at: clamp(y), of: of[1] }, s[xi], s[yi]) : []));
  }
  svg.addEventListener('keydown', moveWithKeys(order));
  caption(shown, bars, outside, beyond);
  return svg;
}

// The border of what the shown members reach on these two axes.
function staircase(shown, x, y, xi, yi) {
  const sign = (i) => (objectives[i].higher ? 1 : -1);
  const sorted = shown.map((m) => [scoresOf(m)[xi][0], scoresOf(m)[yi][0]])
    .sort((a, b) => sign(xi) * (b[0] - a[0]) || sign(yi) * (b[1] - a[1]));
  let best = -Infinity, path = '';
  for (const [a, b] of sorted) {
    if (sign(yi) * b <= best) continue;
    best = sign(yi) * b;
    path += path ? `H${x(a)}V${y(b)}` : `M${x(a)} ${y(b)}`;
  }
  return draw('path', { class: 'step', d: path || 'M0 0', 'aria-hidden': 'true' });
}

function rows(width) {
  const things = [...data.members.filter(scoresOf).map((m) => ({ m, s: scoresOf(m)[0] })),
    ...data.baselines.filter(scoresOf).map((b) => ({ b, s: scoresOf(b)[0] }))];
  const sign = objectives[0].higher ? -1 : 1;
  things.sort((p, q) => sign * (p.s[0] - q.s[0]));
  const nameWidth = Math.min(230, width * 0.36);
  const height = 26 + 24 * things.length + 44;
  const box = [nameWidth, 26, width - 12, height - 44];
  const values = things.flatMap((t) => (withBars() ? t.s : [t.s[0]]));
  if (state.split === 'search') values.push(...[...data.trace.points.map((p) => p[2])].sort((a, b) => a - b).slice(Math.floor(data.trace.points.length / 2)));
  const x = scale(...extent(values, 0.05), box[0], box[2], Math.max(3, Math.round(width / 120)));
  const svg = draw('svg', { width, height, role: 'radiogroup', 'aria-label': `Scores of ${objectives[0].label}. Arrow keys choose a member.` });
  svg.append(frame(x, null, box, 0, 0));
  const order = [];
  things.forEach((t, row) => {
    const y = 26 + 24 * row + 12;
    const name = t.m ? t.m.id + (t.m.knee ? ` · ${data.knee}` : '') : t.b.short;
    svg.append(draw('text', { x: nameWidth - 10, y: y + 4, 'text-anchor': 'end', class: t.m && t.m.id === state.member ? 'strong' : '', 'aria-hidden': 'true' },
      short(name, Math.floor(nameWidth / 7.2))));
    const bars = withBars() ? whiskers({ at: x, of: x(t.s[0]) }, { of: y }, t.s, null) : [];
    if (t.m) { order.push(t.m); svg.append(memberMark(t.m, x(t.s[0]), y, bars)); } else svg.append(baselineMark(t.b, x(t.s[0]), y, bars));
  });
  svg.addEventListener('keydown', moveWithKeys(order));
  caption(order, true, 0, []);
  return svg;
}

function caption(shown, bars, outside, beyond) {
  const missing = data.members.length - shown.length;
  const left = { test: 'not confirmed', selection: 'not compared on selection items' }[state.split];
  const compared = `Selection scores of ${shown.length} members with 95 % intervals${bars ? '' : ' (of the chosen member and the baselines)'}: fresh items, by which the finalists were chosen.`;
  const held = objectives.length > 1
    ? `Held-out scores of ${shown.length} members with 95 % intervals${bars ? '' : ' (of the chosen member and the baselines; all are in the table)'}. Filled members beat the best expert of at least one objective.`
    : 'Held-out scores with 95 % intervals; filled members beat the best expert.';
  const search = `Search scores, which members were selected by: they flatter. Grey dots are the other candidates${data.trace.step > 1 ? ` (one in ${data.trace.step})` : ''}${outside ? `; ${outside} lie outside the frame` : ''}.`;
  const one = 'Search scores, which members were selected by: they flatter.';
  const text = state.split === 'test' ? held : state.split === 'selection' ? compared : objectives.length > 1 ? search : one;
  clear(byId('front-caption')).append(text + (missing && left ? ` ${missing} of the front not shown: ${left}.` : '')
    + (beyond.length ? ` Beyond the frame, shown at its edge: ${beyond.join(', ')}.` : ''));
}

function legend() {
  const entries = [];
  const wins = data.members.some((m) => m.wins);
  if (state.split === 'test' && wins) entries.push(legendEntry('member', 'member, beats a best expert', 'member wins'));
  if (state.split !== 'test' || data.members.some((m) => m.test && !m.wins)) entries.push(legendEntry('member', state.split === 'test' && wins ? 'member, does not' : 'member', 'member'));
  for (const b of data.baselines) entries.push(legendEntry(b.kind, b.short, `baseline ${b.kind}`, b.digit));
  return make('ul', { class: 'legend' }, entries);
}

function drawFront() {
  if (!frontPlot) return;
  const focused = document.activeElement && frontPlot.contains(document.activeElement);
  const width = Math.max(240, frontPlot.clientWidth);
  clear(frontPlot);
  tip = make('div', { class: 'tip', hidden: '' });
  frontPlot.append(tip);
  frontPlot.append((objectives.length > 1 ? plane : rows)(width), legend(), tip);
  if (focused) focusMember(state.member);
}
views.push(drawFront);
