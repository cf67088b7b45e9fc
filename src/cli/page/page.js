'use strict';
(() => {
  const {people, problems} = JSON.parse(document.getElementById('data').textContent);
  const PAGE = 100;
  const at = id => document.getElementById(id);
  const names = {new: 'new', changed: 'changed', missing: 'missing: marked', leaving: 'left', deleted: 'left: deleted', blocked: 'blocked'};
  const body = document.querySelector('#people tbody');
  const called = p => p.email || p.user_name || p.key;
  // What is searched, once for each person.
  for (const p of people) p.text = [p.email || '', p.user_name || '', p.key, ...p.lost, ...p.gained, ...p.kept].join(' ').toLowerCase();
  const option = (select, value, text) => {
    const made = document.createElement('option');
    made.value = value;
    made.textContent = text;
    at(select).append(made);
  };
  const roles = new Set();
  const kinds = new Set();
  for (const p of people) {
    kinds.add(p.change);
    for (const role of [...p.lost, ...p.gained, ...p.kept]) roles.add(role);
  }
  [...roles].sort().forEach(role => option('role', role, role));
  Object.keys(names).filter(kind => kinds.has(kind)).forEach(kind => option('kind', kind, names[kind]));
  option('problem', 'any', 'any problem');
  option('problem', 'none', 'no problem');
  problems.forEach((what, index) => option('problem', String(index), what));

  let page = 0;
  let sorted = null;
  let found = people;
  const open = new Set();
  const keys = {
    name: p => called(p).toLowerCase(),
    kind: p => Object.keys(names).indexOf(p.change),
    lost: p => -p.lost.length,
    gained: p => -p.gained.length,
  };
  const find = () => {
    const words = at('search').value.toLowerCase().split(/\s+/).filter(Boolean);
    const role = at('role').value;
    const kind = at('kind').value;
    const problem = at('problem').value;
    found = people.filter(p =>
      words.every(word => p.text.includes(word)) &&
      (!role || p.lost.includes(role) || p.gained.includes(role) || p.kept.includes(role)) &&
      (!kind || p.change === kind) &&
      (!problem || (problem === 'any' ? p.problems.length > 0 : problem === 'none' ? p.problems.length === 0 : p.problems.includes(Number(problem)))));
    if (sorted) {
      const key = keys[sorted.by];
      const keyed = found.map(p => [key(p), p]);
      keyed.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0) * sorted.sign);
      found = keyed.map(pair => pair[1]);
    }
    page = 0;
    draw();
  };
  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const list = (heading, items, kind) => {
    if (items.length === 0) return [];
    const made = element('ul');
    items.forEach(item => made.append(element('li', item, kind)));
    return [element('h3', heading), made];
  };
  const value = v => v === null || v === undefined ? 'nothing' : typeof v === 'string' ? v : JSON.stringify(v);
  const why = p => {
    const row = element('tr');
    const cell = element('td', undefined, 'why');
    cell.colSpan = 4;
    if (called(p) !== p.key) cell.append(element('p', 'Key: ' + p.key));
    cell.append(
      ...list('Why', p.why.map(w => `${w.grants.join(', ')}: ${w.rule}`)),
      ...list(`Loses, because ${p.loses_because}`, p.lost, 'bad'),
      ...list('Keeps', p.kept),
      ...list('Fields', p.fields.map(f => `${f.name}: ${value(f.was)} \u2192 ${value(f.is)}`)),
      ...list('Problems', p.problems.map(index => problems[index]), 'warn'));
    row.append(cell);
    return row;
  };
  // What the controls say, for paper, which has none.
  const filters = () => ['search', 'role', 'kind', 'problem'].filter(id => at(id).value).map(id => {
    const control = at(id);
    const name = control.parentElement.firstChild.textContent.trim();
    return `${name}: ${control.selectedOptions ? control.selectedOptions[0].textContent : control.value}`;
  }).join('; ');
  const draw = (shown = found.slice(page * PAGE, (page + 1) * PAGE)) => {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    const rows = document.createDocumentFragment();
    for (const p of shown) {
      const row = element('tr');
      const name = element('th');
      name.scope = 'row';
      const button = element('button', called(p));
      button.type = 'button';
      button.setAttribute('aria-expanded', String(open.has(p)));
      button.addEventListener('click', () => {
        if (open.has(p)) {
          open.delete(p);
          row.nextSibling.remove();
        } else {
          open.add(p);
          row.after(why(p));
        }
        button.setAttribute('aria-expanded', String(open.has(p)));
      });
      name.append(button);
      const change = names[p.change] + (p.problems.length > 0 && p.change !== 'blocked' ? ', blocked in part' : '');
      row.append(name, element('td', change), element('td', p.lost.join(', '), 'bad'), element('td', p.gained.join(', '), 'good'));
      rows.append(row);
      if (open.has(p)) rows.append(why(p));
    }
    body.replaceChildren(rows);
    at('count').textContent = `${found.length.toLocaleString('en')} of ${people.length.toLocaleString('en')} people`;
    at('filters').textContent = filters();
    at('page').textContent = `${page + 1} of ${pages}`;
    at('before').disabled = page === 0;
    at('after').disabled = page + 1 >= pages;
    at('pages').hidden = pages === 1;
  };
  let timer;
  at('search').addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(find, 80);
  });
  ['role', 'kind', 'problem'].forEach(id => at(id).addEventListener('change', find));
  at('controls').addEventListener('submit', event => event.preventDefault());
  at('before').addEventListener('click', () => { page -= 1; draw(); });
  at('after').addEventListener('click', () => { page += 1; draw(); });
  document.querySelectorAll('[data-sort]').forEach(button => button.addEventListener('click', () => {
    const by = button.dataset.sort;
    sorted = {by, sign: sorted && sorted.by === by ? -sorted.sign : 1};
    document.querySelectorAll('#people thead th').forEach(th => th.setAttribute('aria-sort', 'none'));
    button.parentElement.setAttribute('aria-sort', sorted.sign > 0 ? 'ascending' : 'descending');
    find();
  }));
  // Paper has no pages to turn: everybody who was found is printed.
  addEventListener('beforeprint', () => draw(found));
  addEventListener('afterprint', () => draw());
  find();
})();
