// What the script adds to pages that work without it: the list changes by itself, narrowing and paging
// without a new page, dialogs, copying, dates and amounts in the browser's way, a word when the
// service is out of reach.
'use strict';

(() => {
  const root = document.documentElement;
  root.classList.add('scripted');
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

  // ---- Dates, counts and amounts in the browser's way ------------------------------------------

  const languages = navigator.languages?.length ? navigator.languages : undefined;
  const minute = new Intl.DateTimeFormat(languages, { dateStyle: 'medium', timeStyle: 'short' });
  const full = new Intl.DateTimeFormat(languages, { dateStyle: 'full', timeStyle: 'long' });
  const day = new Intl.DateTimeFormat(languages, { dateStyle: 'medium' });
  const plainDay = new Intl.DateTimeFormat(languages, { dateStyle: 'medium', timeZone: 'UTC' });
  const counts = new Intl.NumberFormat(languages);
  // Amounts are texts. A browser that would make floats of them shows them as they are.
  const exact = new Intl.NumberFormat('en').format('12345678901234567.89') === '12,345,678,901,234,567.89';
  const currencies = new Map();

  /** An amount's text with its currency, as people here write it. */
  function amount(text, currency) {
    const decimals = Math.max(2, (text.split('.')[1] ?? '').length);
    const key = `${currency} ${decimals}`;
    if (!currencies.has(key)) {
      let format = null;
      try {
        format = new Intl.NumberFormat(languages, { style: 'currency', currency, currencyDisplay: 'code', minimumFractionDigits: decimals, maximumFractionDigits: decimals });
      } catch { /* Not a currency that the browser takes: shown as it is. */ }
      currencies.set(key, format);
    }
    const format = currencies.get(key);
    return exact && format ? format.format(text) : `${text} ${currency}`;
  }

  /** Days inside of words, outside of quotation marks. */
  function daysIn(text) {
    return text.split(/(“[^”]*”)/).map((part) => part.startsWith('“') ? part
      : part.replace(/\b\d{4}-\d{2}-\d{2}\b(?! \d{2}:)/g, (iso) => plainDay.format(new Date(`${iso}T00:00:00Z`)))).join('');
  }

  function localise(within) {
    for (const time of $$('time[datetime]:not([data-local])', within)) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      time.textContent = (time.hasAttribute('data-day') ? day : minute).format(at);
      time.title = full.format(at);
      time.dataset.local = '';
    }
    for (const data of $$('data.amount:not([data-local])', within)) {
      data.textContent = amount(data.value, data.dataset.currency ?? '');
      data.dataset.local = '';
    }
    for (const data of $$('data:not(.amount):not([data-local])', within)) {
      if (/^\d{1,15}$/.test(data.value)) data.textContent = counts.format(Number(data.value));
      data.dataset.local = '';
    }
    for (const words of $$('.words:not([data-local])', within)) {
      words.textContent = daysIn(words.textContent);
      words.dataset.local = '';
    }
  }

  // ---- Telling --------------------------------------------------------------------------------

  const toast = $('#toast');
  let toastTimer;
  function tell(text) {
    if (!toast) return;
    toast.hidden = false;
    toast.textContent = text;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => { toast.hidden = true; toast.textContent = ''; }, 5000);
  }

  /** Sends a form without leaving the page. Answers why it was refused, or null. */
  async function send(form) {
    let answer;
    try {
      answer = await fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form)), redirect: 'manual' });
    } catch {
      return 'There is no connection to the service. Try again when it is back.';
    }
    // What was done leads to another page; what was not is a page that says why.
    if (answer.type === 'opaqueredirect' || answer.ok) return null;
    if (answer.status === 401) location.reload();
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    return $('main p', page)?.textContent ?? `It did not work (${answer.status}).`;
  }

  // ---- The list -------------------------------------------------------------------------------

  const list = $('#requests');
  const state = { query: list?.dataset.query ?? '', seen: list?.dataset.seen ?? '', source: null, timer: null, asking: null };

  function rowOf(html) {
    const holder = document.createElement('template');
    holder.innerHTML = html;
    return holder.content.firstElementChild;
  }

  /** Puts a row in another one's place; what had the focus, and what was open, stays so. */
  function replaceRow(old, row) {
    const act = old.contains(document.activeElement) ? document.activeElement.dataset.act ?? document.activeElement.textContent : null;
    const open = $('details.menu', old)?.open;
    localise(row);
    old.replaceWith(row);
    if (open) $('details.menu', row).open = true;
    if (act !== null) {
      const same = $$('a, button, summary', row).find((e) => (e.dataset.act ?? e.textContent) === act);
      (same ?? $('a', row)).focus();
    }
    const [was, is] = [old.dataset.status, row.dataset.status];
    if (was !== is && is === 'Completed') tell(`Ready: ${row.dataset.what}`);
    if (was !== is && is === 'Failed') tell(`Failed: ${row.dataset.what}`);
    if (was !== is && list.hasAttribute('data-moving') && (is === 'Completed' || is === 'Failed')) location.reload();
  }

  function change({ seen, count, order, rows }) {
    state.seen = seen;
    const one = list.hasAttribute('data-one');
    const holder = $('#rows');
    if (one) {
      const own = holder.firstElementChild;
      if (!order.includes(own.dataset.id)) { location.reload(); return; }
      const html = rows[own.dataset.id];
      if (html) replaceRow(own, rowOf(html));
      return;
    }
    // From none to some, or the other way round, other parts change too.
    if ((order.length === 0) !== (holder.childElementCount === 0)) { refresh(); return; }
    const known = new Map([...holder.children].map((row) => [row.dataset.id, row]));
    if (order.some((id) => !known.has(id) && !rows[id])) { refresh(); return; }
    for (const [id, row] of known) if (!order.includes(id)) row.remove();
    let before = holder.firstElementChild;
    for (const id of order) {
      let row = known.get(id);
      if (!row) {
        row = rowOf(rows[id]);
        row.classList.add('new');
        localise(row);
        holder.insertBefore(row, before);
        continue;
      }
      if (row !== before) holder.insertBefore(row, before);
      before = row.nextElementSibling;
      if (rows[id]) replaceRow(row, rowOf(rows[id]));
    }
    const number = $('#count > span');
    if (number) number.textContent = count;
  }

  /** Asks for the list anew. */
  async function refresh() {
    if (!list.dataset.part) { location.reload(); return; }
    state.asking?.abort();
    const asking = state.asking = new AbortController();
    const part = $('#list-part');
    part.classList.add('loading');
    try {
      const answer = await fetch(`${list.dataset.part}?${state.query}`, { signal: asking.signal });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      const html = await answer.text();
      const focused = part.contains(document.activeElement);
      part.innerHTML = html;
      localise(part);
      if (focused) $('#requests-title').focus?.();
      offline(false);
    } catch (error) {
      if (error.name === 'AbortError') return;
      offline(true);
    } finally {
      if (state.asking === asking) part.classList.remove('loading');
    }
  }

  function offline(is) {
    const note = $('#offline');
    if (note) note.hidden = !is;
  }

  function listen() {
    if (!list?.dataset.live || document.hidden) return;
    // A request that has ended stays as it is.
    if (list.hasAttribute('data-one') && !list.hasAttribute('data-moving')) return;
    state.source?.close();
    clearTimeout(state.timer);
    const source = state.source = new EventSource(`${list.dataset.live}?${state.query}&seen=${encodeURIComponent(state.seen)}`);
    source.addEventListener('open', () => offline(false));
    source.addEventListener('list', (event) => change(JSON.parse(event.data)));
    source.addEventListener('over', () => location.reload());
    source.addEventListener('error', () => {
      if (source !== state.source) return;
      source.close();
      // Out of reach, too many streams, or signed out: the list itself tells which.
      state.timer = setTimeout(async () => {
        await reach();
        listen();
      }, 3000);
      if (!navigator.onLine) offline(true);
    });
  }

  /** Whether the service answers; the list is then the newest, too. */
  async function reach() {
    if (list.dataset.part) { await refresh(); return; }
    try {
      const answer = await fetch(location.href, { method: 'GET', cache: 'no-store' });
      if (answer.status === 401) location.reload();
      offline(false);
    } catch { offline(true); }
  }

  function look(query) {
    state.query = query;
    state.seen = '';
    list.dataset.query = query;
    history.replaceState(null, '', `${list.dataset.home}${query ? `?${query}` : ''}#requests`);
    const asked = new URLSearchParams(query);
    for (const control of narrow?.elements ?? []) {
      const value = asked.get(control.name) ?? '';
      if (control.name && control !== document.activeElement && control.value !== value) control.value = value;
    }
    const all = $('#show-all');
    if (all) all.hidden = !['list.state', 'list.report', 'list.text'].some((name) => asked.has(name));
    refresh().then(listen);
  }

  const narrow = $('#narrow');
  if (narrow && list) {
    let typing;
    const ask = () => {
      const given = [...new FormData(narrow)].filter(([, value]) => value !== '');
      look(new URLSearchParams(given).toString());
    };
    narrow.addEventListener('submit', (event) => { event.preventDefault(); ask(); });
    narrow.addEventListener('change', ask);
    narrow.addEventListener('input', (event) => {
      if (event.target.type !== 'search') return;
      clearTimeout(typing);
      typing = setTimeout(ask, 250);
    });
  }

  // ---- Clicks ---------------------------------------------------------------------------------

  async function copy(link) {
    const from = link.dataset.copyFrom;
    const text = from ? $(`pre[aria-labelledby="${from}"]`).textContent : link.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without a permission, or over plain http: the old way.
      const area = Object.assign(document.createElement('textarea'), { value: text, className: 'sr' });
      document.body.append(area);
      area.select();
      const done = document.execCommand('copy');
      area.remove();
      link.focus();
      if (!done) { location.href = link.href; return; }
    }
    tell(`${link.dataset.copied} is on the clipboard.`);
  }

  const dialog = $('#delete-dialog');
  let opener = null;
  function confirmDelete(link) {
    opener = link;
    $('form', dialog).action = link.href;
    $('.dialog-what', dialog).textContent = link.closest('.request')?.dataset.what ?? '';
    $('[role="alert"]', dialog).hidden = true;
    dialog.showModal();
  }
  if (dialog) {
    $('[data-close]', dialog).addEventListener('click', () => dialog.close());
    $('form', dialog).addEventListener('submit', async (event) => {
      event.preventDefault();
      const button = $('[type="submit"]', dialog);
      button.disabled = true;
      const why = await send(event.target);
      button.disabled = false;
      const alert = $('[role="alert"]', dialog);
      alert.hidden = !why;
      alert.textContent = why ?? '';
      if (why) return;
      dialog.close();
      if (list.hasAttribute('data-one')) { location.href = `${list.dataset.home}?done=deleted#requests`; return; }
      opener?.closest('.request')?.remove();
      tell('The request is deleted.');
      $('#requests-title').focus?.();
      refresh();
    });
  }

  document.addEventListener('click', (event) => {
    const link = event.target.closest?.('a, summary, button');
    for (const menu of $$('details.menu[open]')) if (!menu.contains(event.target)) menu.open = false;
    if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const done = () => { const menu = link.closest('details.menu'); if (menu) { menu.open = false; $('summary', menu).focus(); } };
    if (link.matches('[data-copy], [data-copy-from]')) { event.preventDefault(); done(); copy(link); }
    else if (link.matches('[data-delete]') && dialog) { event.preventDefault(); done(); confirmDelete(link); }
    else if (link.matches('[data-page]') && list) { event.preventDefault(); look(new URL(link.href).search.slice(1)); list.scrollIntoView(); }
  });

  document.addEventListener('submit', async (event) => {
    const form = event.target;
    if (!form.matches('[data-again]') || !list?.dataset.part) return;
    event.preventDefault();
    const menu = form.closest('details.menu');
    const why = await send(form);
    menu.open = false;
    tell(why ?? 'The same request was made again. It is the first in the list.');
    if (!why) refresh();
  });

  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    for (const menu of $$('details.menu[open]')) { menu.open = false; $('summary', menu).focus(); }
  });

  // ---- Begin ----------------------------------------------------------------------------------

  // For the form's script: it asks without leaving the page, too.
  window.payouts = { localise, amount, tell, send, refreshList: () => list?.dataset.part && refresh() };
  localise(document);
  if (list) {
    $('#requests-title')?.setAttribute('tabindex', '-1');
    window.addEventListener('offline', () => offline(true));
    window.addEventListener('online', () => reach().then(listen));
    // A page that nobody looks at holds no connection: browsers give a service few of them.
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) { state.source?.close(); clearTimeout(state.timer); } else listen();
    });
    window.addEventListener('pagehide', () => state.source?.close());
    window.addEventListener('pageshow', (event) => { if (event.persisted) listen(); });
    listen();
  }
})();
