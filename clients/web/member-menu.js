// What one can do about a member: write to them, change their role, remove, block or report them.

import { showReport } from './about.js';
import { confirmDialog } from './dialogs.js';
import { showMenu } from './menu.js';

const RANK = { member: 0, admin: 1, owner: 2 };
const ROLE = { owner: 'Make owner', admin: 'Make admin', member: 'Make member' };

export function memberMenu(app, { info }, { user, role }, anchor) {
  const blocked = app.sync.state.blocked.has(user.id);
  const told = (work) => work().catch((error) => app.say(error.message));
  const path = `/v1/conversations/${info.id}/participants/${user.id}`;
  const grouped = info.kind !== 'direct';
  const roles = grouped && info.role === 'owner' ? Object.keys(ROLE).filter((other) => other !== role) : [];
  showMenu(anchor, `About ${user.display_name}`, [
    grouped && { label: 'Send a message', act: () => told(() => write(app, user)) },
    ...roles.map((to) => ({ label: ROLE[to], act: () => told(() => app.api.patch(path, { role: to })) })),
    { label: blocked ? 'Unblock' : 'Block', danger: true, act: () => told(() => block(app, user, !blocked)) },
    { label: 'Report', danger: true, act: () => showReport(app, user.display_name, { user_id: user.id }) },
    grouped &&
      RANK[info.role] >= 1 &&
      RANK[info.role] >= RANK[role] && {
        label: 'Remove',
        danger: true,
        act: () => told(() => remove(app, path, user)),
      },
  ]);
}

async function write(app, user) {
  const info = await app.api.post('/v1/conversations', { kind: 'direct', participant_ids: [user.id] });
  app.sync.joined(info);
  app.open(info.id);
}

async function block(app, user, blocked) {
  const text = 'They cannot write to you directly, and what they write in groups is hidden.';
  if (blocked && !(await confirmDialog({ title: `Block ${user.display_name}?`, text, yes: 'Block' }))) return;
  await app.sync.block(user.id, blocked);
}

async function remove(app, path, user) {
  const text = 'They will no longer see this conversation.';
  if (!(await confirmDialog({ title: `Remove ${user.display_name}?`, text, yes: 'Remove' }))) return;
  await app.api.delete(path);
}
