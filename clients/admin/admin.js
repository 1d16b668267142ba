// The operators' page. It holds nothing: what it shows it asks the node that served it, which asks the others. The token
// stays in this tab.

const EVERY_MS = 2_000;
const KEY = 'starling-admin-token';

const $ = (id) => document.getElementById(id);

/** An element with text or children; never markup. */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

class Refused extends Error {
  constructor(status, problem) {
    const errors = (problem.errors ?? []).map((e) => `${e.field} ${e.message}`).join('; ');
    super(errors || problem.detail || `the node answered ${status}`);
    this.status = status;
  }
}

/** What the token that was forgotten meanwhile had asked for. */
class Forgotten extends Error {}

async function call(method, path, query = {}) {
  const asked = era;
  const url = new URL(`/admin/v1/${path}`, location.href);
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  let response;
  try {
    const headers = { authorization: `Bearer ${sessionStorage.getItem(KEY)}` };
    response = await fetch(url, { method, headers, cache: 'no-store', signal: AbortSignal.timeout(10_000) });
  } catch {
    if (asked !== era) throw new Forgotten();
    throw new Refused(0, { detail: 'The node does not answer.' });
  }
  const body = await response.json().catch(() => ({}));
  if (asked !== era) throw new Forgotten();
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

const time = (text) => (text ? new Date(text).toLocaleString() : '');
const bytes = (n) => (n < 1024 ? `${n} B` : n < 1048576 ? `${(n / 1024).toFixed(1)} KiB` : `${(n / 1048576).toFixed(1)} MiB`);
const whole = (n) => Math.round(n ?? 0).toLocaleString();
const sum = (list, of) => list.reduce((all, item) => all + (of(item) ?? 0), 0);

/** Redraws a table: columns are [head, cell of an item, class]. */
function table(node, columns, items, none) {
  const cells = (tag, of) => columns.map(([head, cell, kind]) => h(tag, { class: kind }, of(head, cell)));
  if (items.length === 0) return node.replaceChildren(h('caption', { class: 'empty' }, none));
  const body = items.map((item) => h('tr', {}, ...cells('td', (_, cell) => cell(item) ?? '')));
  node.replaceChildren(h('thead', {}, h('tr', {}, ...cells('th', (head) => head))), h('tbody', {}, ...body));
}

function drawNodes({ nodes, silent, strangers, others_asked: asked }) {
  const total = (title, number) => h('li', {}, h('strong', {}, whole(number)), h('span', {}, title));
  $('totals').replaceChildren(
    total('nodes', nodes.length),
    total('connections', sum(nodes, (n) => n.gateway?.connections)),
    total('messages/s', sum(nodes, (n) => n.rates.messages)),
    total('frames/s', sum(nodes, (n) => n.rates.frames)),
    total('slow connections', sum(nodes, (n) => n.gateway?.behind)),
    total('changes that wait', sum(nodes, (n) => sum(n.waiting, (lane) => lane))),
  );
  table(
    $('nodes'),
    [
      ['Node', (n) => n.id, 'id'],
      ['Role', (n) => n.role],
      ['Host', (n) => n.host],
      ['Address', (n) => n.listen],
      ['Version', (n) => n.version],
      ['Since', (n) => time(n.started_at)],
      ['State', (n) => h('span', { class: n.ready && n.state === 'ready' ? 'good' : 'wrong' }, n.state)],
      ['Connections', (n) => (n.gateway ? whole(n.gateway.connections) : '–'), 'number'],
      ['Messages/s', (n) => n.rates.messages.toFixed(1), 'number'],
      ['Events/s', (n) => n.rates.events.toFixed(1), 'number'],
      ['Frames/s', (n) => n.rates.frames.toFixed(1), 'number'],
      ['', (n) => (n.gateway && !n.gateway.draining ? button('Drain', () => drain(n)) : null)],
    ],
    nodes,
    'No node.',
  );
  const slow = nodes.flatMap((n) => (n.gateway?.slowest ?? []).map((c) => ({ ...c, node: n.id })));
  slow.sort((one, other) => other.outbox_fill - one.outbox_fill);
  table(
    $('slow'),
    [
      ['User', (c) => c.username],
      ['Connection', (c) => c.id, 'id'],
      ['Node', (c) => c.node, 'id'],
      ['Waiting', (c) => bytes(c.waiting_bytes), 'number'],
      ['Full', (c) => `${Math.round(c.outbox_fill * 100)} %`, 'number'],
    ],
    slow,
    'Nobody is behind.',
  );
  const why = (node) => (strangers.includes(node) ? ': it has another STARLING_ADMIN_TOKEN, or none' : '');
  const wrong = silent.map((node) => `Node ${node} did not answer${why(node)}.`);
  if (!asked) wrong.push('Redis is away: no other node was asked.');
  $('silent').textContent = wrong.join(' ');
  $('silent').hidden = wrong.length === 0;
}

function button(text, act, grave = true) {
  return h('button', { type: 'button', class: grave && 'grave', onclick: act }, text);
}

async function drain(node) {
  if (!confirm(`Let the ${node.gateway.connections} connections of ${node.host} (${node.listen}) move to other nodes?`)) return;
  await attempt($('drained'), async () => {
    const { others_ready: others, role } = await call('POST', `nodes/${node.id}/drain`);
    const alone = others === 0 ? ` No other ${role} is ready: its clients have nowhere to go.` : '';
    $('drained').replaceChildren(h('p', { role: 'status' }, `${node.host} (${node.listen}) lets its connections go.${alone}`));
  });
}

/** Does something; what goes wrong is said in `place`. */
async function attempt(place, work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Forgotten) return;
    if (error.status === 401 || error.status === 403) return leave(error.message);
    place.hidden = false;
    place.replaceChildren(h('p', { class: 'wrong', role: 'alert' }, error.message));
  }
}

async function find() {
  const [who, org] = [$('user').value.trim(), $('org').value.trim()];
  await attempt($('found'), async () => {
    const { user, connections } = await call('GET', `users/${encodeURIComponent(who)}/connections`, { org });
    const act = (path, text) =>
      button(text, async () => {
        if (!confirm(`${text} ${user.username}?`)) return;
        await attempt($('found'), async () => {
          await call('POST', `users/${user.id}/${path}`);
          await find();
        });
      });
    const rows = h('table', {});
    table(
      rows,
      [
        ['Connection', (c) => c.id, 'id'],
        ['Node', (c) => c.node, 'id'],
        ['Over', (c) => c.transport],
        ['Since', (c) => time(c.opened_at)],
        ['Conversations', (c) => whole(c.following), 'number'],
        ['Waiting', (c) => bytes(c.waiting_bytes), 'number'],
      ],
      connections,
      'Not connected.',
    );
    const state = user.disabled_at ? h('span', { class: 'wrong' }, ' disabled') : null;
    const actions = [act('disconnect', 'Disconnect'), user.disabled_at ? act('enable', 'Enable') : act('disable', 'Disable')];
    const title = h('p', { class: 'line' }, h('strong', {}, user.username), h('code', {}, user.id), state, ...actions);
    $('found').replaceChildren(title, h('div', { class: 'scroll' }, rows));
  });
}

async function explain() {
  const query = { user: $('trace-user').value.trim(), org: $('trace-org').value.trim(), message: $('trace-message').value.trim() };
  await attempt($('explained'), async () => {
    const trace = await call('GET', 'trace', query);
    const notes = trace.notes.map((note) => h('li', {}, note));
    $('explained').replaceChildren(
      h('p', { class: 'verdict' }, trace.verdict.says, ' ', h('code', {}, trace.verdict.code)),
      h('ul', { hidden: notes.length === 0 }, ...notes),
      h('details', {}, h('summary', {}, 'All that is known'), h('pre', {}, JSON.stringify(trace, null, 2))),
    );
  });
}

/** Every org with open reports, those with most first; of 2,000 orgs no more are looked at. */
async function orgsWithReports() {
  const found = [];
  let after = '';
  for (let page = 0; page < 20; page++) {
    const { orgs } = await call('GET', 'orgs', { after });
    found.push(...orgs.filter((org) => org.open_reports > 0));
    if (orgs.length < 100) break;
    after = orgs.at(-1).slug;
  }
  return found.sort((one, other) => other.open_reports - one.open_reports);
}

async function drawReports() {
  const all = await orgsWithReports();
  const open = all.slice(0, 10);
  const waiting = sum(all, (org) => org.open_reports);
  $('reports-title').textContent = waiting ? `Open reports: ${whole(waiting)} in ${whole(all.length)} orgs` : 'Open reports';
  const lists = await Promise.all(open.map((org) => call('GET', 'reports', { org: org.slug, status: 'open', limit: 20 })));
  const items = lists.flatMap((list, at) => list.items.map((report) => ({ ...report, org: open[at].slug })));
  table(
    $('reports'),
    [
      ['When', (r) => time(r.created_at)],
      ['Org', (r) => r.org],
      ['Reason', (r) => r.reason],
      ['Of', (r) => r.user.username],
      ['By', (r) => r.reporter.username],
      ['Comment', (r) => r.comment],
      ['Message', (r) => r.message_id, 'id'],
    ],
    items,
    'None.',
  );
}

const JOBS = { erase_conversation: 'Erase a deleted conversation' };

async function drawJobs() {
  const { jobs } = await call('GET', 'jobs');
  table(
    $('jobs'),
    [
      ['Job', (job) => JOBS[job.kind] ?? job.kind],
      ['Waiting', (job) => whole(job.waiting), 'number'],
      ['Later', (job) => whole(job.later), 'number'],
      ['Oldest of', (job) => time(job.oldest_at)],
    ],
    jobs,
    'None.',
  );
}

let timer = null;
let round = 0;
/** Raised when the token is forgotten: what was asked before shows nothing any more. */
let era = 0;

async function look() {
  clearTimeout(timer);
  try {
    drawNodes(await call('GET', 'nodes'));
    if (round++ % 10 === 0) await Promise.all([drawReports(), drawJobs()]);
    $('state').textContent = `As of ${new Date().toLocaleTimeString()}`;
    $('sign-in').hidden = true;
    $('board').hidden = $('leave').hidden = false;
  } catch (error) {
    if (error instanceof Forgotten) return;
    if (error.status === 401 || error.status === 403) return leave(error.message);
    $('state').textContent = error.message;
  }
  timer = setTimeout(look, EVERY_MS);
}

function leave(why = '') {
  clearTimeout(timer);
  sessionStorage.removeItem(KEY);
  round = 0;
  era += 1;
  for (const id of ['totals', 'nodes', 'slow', 'found', 'explained', 'jobs', 'reports']) $(id).replaceChildren();
  $('reports-title').textContent = 'Open reports';
  $('board').hidden = $('leave').hidden = true;
  $('sign-in').hidden = false;
  $('state').textContent = 'Not signed in';
  $('refused').textContent = why;
  $('refused').hidden = !why;
}

const on = (id, event, act) =>
  $(id).addEventListener(event, (e) => {
    e.preventDefault();
    act();
  });
on('sign-in', 'submit', () => {
  sessionStorage.setItem(KEY, $('token').value.trim());
  $('token').value = '';
  $('refused').hidden = true;
  look();
});
on('find', 'submit', find);
on('trace', 'submit', explain);
on('leave', 'click', () => leave());
if (sessionStorage.getItem(KEY)) look();
