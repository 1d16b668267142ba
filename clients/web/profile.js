// One's own name, picture and status, as others see them.

import { avatar, setAvatar } from './avatar.js';
import { formDialog } from './dialogs.js';
import { h } from './dom.js';
import { pictureAddress } from './links.js';
import { field } from './signin.js';

export function editProfile(app) {
  const { me } = app;
  const name = field('Name', { maxlength: '120', autocomplete: 'off' });
  const status = field('Status (optional)', {
    maxlength: '120',
    required: false,
    placeholder: 'On the road until Monday',
  });
  const picture = field('Address of a picture (optional)', {
    type: 'url',
    maxlength: '2000',
    required: false,
    placeholder: 'https://…',
  });
  name.input.value = me.display_name;
  status.input.value = me.status_text ?? '';
  picture.input.value = me.avatar_url ?? '';
  const looks = avatar(me, 'large');
  const look = () =>
    setAvatar(looks, { display_name: name.input.value, avatar_url: pictureAddress(picture.input.value.trim()) });
  for (const { input } of [name, picture]) input.addEventListener('change', look);
  const preview = h(
    'div',
    { class: 'profile-looks' },
    looks,
    h('span', { class: 'quiet ellipsis' }, `@${me.username}`),
  );
  formDialog('Your profile', 'Save', [preview, name.label, status.label, picture.label], async () => {
    const now = {
      display_name: name.input.value.trim(),
      status_text: status.input.value.trim() || null,
      avatar_url: picture.input.value.trim() || null,
    };
    const changed = Object.entries(now).filter(([what, value]) => value !== (me[what] ?? null));
    if (changed.length) app.sync.profile(await app.api.patch('/v1/me', Object.fromEntries(changed)));
  });
}
