// The files that go with a message: pictures in their place, videos and sounds with controls, all else as a link with
// its name and size. What may not be shown here, or does not come, is a link too.

import { h, icon } from './dom.js';
import { fileSize, filesText } from './format.js';
import { mediaAddress, nameInAddress, pictureAddress, webAddress } from './links.js';

/** A picture or video is drawn no larger than this; of unknown size, it gets a place of this form at once. */
const LARGEST_PX = 320;
const UNKNOWN = { width: 240, height: 180 };

export function attachmentList({ attachments = [] }) {
  if (!attachments?.length) return null;
  const several = attachments.filter(({ kind }) => kind === 'image').length > 1;
  return h(
    'ul',
    {
      class: several ? 'attachments several' : 'attachments',
      'aria-label': attachments.length === 1 ? 'Attachment' : 'Attachments',
    },
    attachments.map((attachment) => h('li', {}, shown(attachment))),
  );
}

function shown(attachment) {
  const draw = { image: picture, video, audio }[attachment.kind];
  return draw?.(attachment) ?? fileLink(attachment);
}

function picture(attachment) {
  const whole = webAddress(attachment.url);
  const src = pictureAddress(attachment.thumbnail_url) ?? pictureAddress(attachment.url);
  if (!whole || !src) return null;
  const name = attachment.name || 'Photo';
  const image = h('img', { src, alt: name, loading: 'lazy', decoding: 'async', ...place(attachment) });
  const link = h('a', { ...away(whole), class: 'picture', title: `${name}: show the whole` }, image);
  image.addEventListener('error', () => link.replaceWith(fileLink(attachment)));
  return link;
}

function video(attachment) {
  const src = mediaAddress(attachment.url);
  if (!src) return null;
  const thumbnail = pictureAddress(attachment.thumbnail_url);
  const poster = thumbnail && here(thumbnail) ? thumbnail : null;
  return player('video', attachment, { src, poster, playsinline: true, ...place(attachment) });
}

function audio(attachment) {
  const src = mediaAddress(attachment.url);
  return src && player('audio', attachment, { src });
}

/**
 * Of what is this server's own the beginning is loaded, which tells how long it is; of what is elsewhere nothing, nor
 * its thumbnail, before somebody wants to hear or see it: whoever sent it would learn who looks. (Of photos they learn
 * it: those are shown.)
 */
function player(tag, attachment, attributes) {
  const name = calls(attachment);
  const preload = here(attributes.src) ? 'metadata' : 'none';
  const node = h(tag, { controls: true, preload, 'aria-label': name, title: name, ...attributes });
  node.addEventListener('error', () => node.replaceWith(fileLink(attachment)));
  return node;
}

function fileLink(attachment) {
  const to = webAddress(attachment.url);
  const parts = [
    icon(attachment.kind === 'document' ? 'file' : attachment.kind),
    h('span', { class: 'file-name' }, calls(attachment)),
    attachment.byte_size ? h('span', { class: 'file-size' }, fileSize(attachment.byte_size)) : null,
  ];
  // The server takes no other addresses; should one come all the same, it leads nowhere.
  return to ? h('a', { ...away(to), class: 'file' }, parts) : h('span', { class: 'file' }, parts);
}

const here = (address) => new URL(address).origin === location.origin;

const away = (href) => ({ href, target: '_blank', rel: 'noopener noreferrer' });

const calls = (attachment) => attachment.name || nameInAddress(attachment.url) || filesText([attachment]);

/** Told to the browser beforehand, so that nothing moves when it comes. */
export function place({ width, height }) {
  if (!width || !height) return UNKNOWN;
  const scale = Math.min(1, LARGEST_PX / width, LARGEST_PX / height);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}
