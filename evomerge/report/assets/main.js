// The chosen member's panel, the controls, and redrawing when the page changes its width.
function drawChosen() {
  const host = byId('chosen');
  const m = member();
  if (!host || !m) return;
  const lines = objectives.flatMap((o, i) => {
    const versus = m.versus[i];
    return [make('dt', null, o.label),
      m.test ? make('dd', null, make('b', null, withUnits(m.test[i], i)), ` ${ends(m.test[i], i)} held-out`) : null,
      m.selection ? make('dd', { class: 'quiet' }, `${withUnits(m.selection[i], i)} on selection items`) : null,
      make('dd', { class: 'quiet' }, `${withUnits(m.search[i], i)} on search items`),
      versus ? make('dd', null, `${estimate(versus, i, true)} ${ends(versus, i, true)} `, make('span', { class: 'quiet' }, `against ${short(versus[3], 40)}`),
        make('span', { class: `mark ${{ 'beats best expert': 'beats', worse: 'worse' }[versus[4]] || 'same'}` }, versus[4])) : null,
      m.free[i] ? make('dd', { class: 'quiet' }, `${estimate(m.free[i], i, true)} ${ends(m.free[i], i, true)} against the ${m.free[i][3]}`) : null];
  });
  const held = { holds: `holds, to within ${data.margin}`, open: `open whether it holds, to within ${data.margin}`, 'falls short': `falls short by more than ${data.margin}` };
  const notes = [m.knee ? data.knee : null, m.recommended ? 'recommended by the searcher' : null, held[m.holding] || null, m.dominated.length ? `dominated by ${m.dominated.slice(0, 4).map((name) => short(name, 28)).join(', ')}${m.dominated.length > 4 ? ` and ${m.dominated.length - 4} more` : ''}` : null].filter(Boolean);
  clear(host).append(make('h3', null, m.id), notes.length ? make('div', { class: 'quiet' }, notes.join(' · ')) : '', make('dl', null, lines));
}
views.push(drawChosen);

function drawChoice() {
  for (const row of document.querySelectorAll('[data-row]')) row.classList.toggle('chosen-row', row.dataset.row === state.member);
  for (const button of document.querySelectorAll('.pick')) button.setAttribute('aria-pressed', String(button.dataset.member === state.member));
  for (const select of document.querySelectorAll('.member-select')) select.value = state.member;
  const command = byId('export');
  if (command && state.member) command.textContent = data.export.replace('member=ID', `member=${state.member}`).replace(/out=FOLDER$/, `out=merged-${state.member}`);
}
views.push(drawChoice);

for (const select of document.querySelectorAll('.member-select')) {
  select.append(...data.members.map((m) => make('option', { value: m.id }, m.id)));
  select.addEventListener('change', () => choose(select.value));
}
for (const button of document.querySelectorAll('.pick')) button.addEventListener('click', () => choose(button.dataset.member));
for (const radio of document.querySelectorAll('input[name=split]')) {
  radio.addEventListener('change', () => { if (radio.checked) { state.split = radio.value; refresh(); } });
}
const zoom = byId('zoom');
if (zoom) zoom.addEventListener('change', () => { state.zoom = zoom.checked; drawFront(); });
for (const axis of ['x', 'y']) {
  const select = byId(`axis-${axis}`);
  if (select) select.addEventListener('change', () => { state[axis] = Number(select.value); refresh(); });
}
for (const button of document.querySelectorAll('.copy')) {
  button.addEventListener('click', async () => {
    const source = byId(button.dataset.copy);
    const done = () => { button.textContent = 'Copied'; setTimeout(() => { button.textContent = 'Copy'; }, 1500); };
    try { await navigator.clipboard.writeText(source.textContent); done(); } catch (error) { getSelection().selectAllChildren(source); }
  });
}
// A long table shows its first members and the chosen one until asked for all.
const everyRow = [...document.querySelectorAll('[data-row]')];
if (everyRow.length > 24) {
  const table = everyRow[0].closest('table');
  everyRow.forEach((row, n) => row.classList.toggle('later', n >= 16));
  table.classList.add('folded');
  const button = make('button', { type: 'button', on: { click: () => { table.classList.remove('folded'); button.remove(); everyRow[16].querySelector('button').focus(); } } },
    `Show all ${everyRow.length} members`);
  table.closest('.scroll').after(button);
}
let drawnWidth = document.body.clientWidth;
addEventListener('resize', () => {
  if (document.body.clientWidth === drawnWidth) return;
  drawnWidth = document.body.clientWidth;
  drawProgress();
  refresh();
});
refresh();
