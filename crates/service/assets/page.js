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
  const decimals = new Intl.NumberFormat(languages, { maximumFractionDigits: 20 });
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
    for (const data of $$('data:not(.amount):not([data-local]), .number:not([data-local])', within)) {
      const digits = data.value ?? data.textContent.replaceAll(',', '');
      if (/^\d{1,15}$/.test(digits)) data.textContent = counts.format(Number(digits));
      data.dataset.local = '';
    }
    for (const number of $$('.decimal:not([data-local])', within)) {
      if (exact && /^-?\d+(\.\d+)?$/.test(number.textContent)) number.textContent = decimals.format(number.textContent);
      number.dataset.local = '';
    }
    for (const words of $$('.words:not([data-local])', within)) {
      words.textContent = daysIn(words.textContent);
      words.dataset.local = '';
    }
  }

  // ---- Telling --------------------------------------------------------------------------------

  const toasts = $('#toasts');
  /** Says something for a while. What was said before stays as long as it would have. */
  function tell(text) {
    if (!toasts) return;
    const toast = document.createElement('p');
    toast.className = 'toast';
    toast.textContent = text;
    toasts.append(toast);
    while (toasts.childElementCount > 3) toasts.firstElementChild.remove();
    setTimeout(() => toast.remove(), 8000);
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

  // ---- Changing what is there -------------------------------------------------------------------

  let pressed = false;
  let waiting = [];
  /** Does it as soon as no button is pressed: what is under the pointer stays there until it is released. */
  function whenStill(act) {
    if (pressed) waiting.push(act); else act();
  }
  const still = () => new Promise(whenStill);
  function released() {
    // The click comes between this and what follows.
    setTimeout(() => {
      pressed = false;
      for (const act of waiting.splice(0)) act();
    });
  }
  addEventListener('pointerdown', (event) => {
    pressed = Boolean(event.target.closest?.('a, button, summary, label, input[type="checkbox"], input[type="radio"]'));
  }, true);
  addEventListener('pointermove', (event) => { if (pressed && event.buttons === 0) released(); }, true);
  for (const end of ['pointerup', 'pointercancel']) addEventListener(end, released, true);
  addEventListener('blur', released);

  const keyOf = (node) => node.dataset?.id ?? node.dataset?.key ?? node.id ?? '';
  const alike = (a, b) => a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

  /**
   * Makes `old` what `fresh` is, node by node. What stays is the same node as before: it keeps the
   * focus, an open menu stays open, and whoever is about to press it does.
   */
  function morph(old, fresh) {
    if (fresh.dataset?.kept !== undefined) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    const own = (name) => name === 'open' && old.nodeName === 'DETAILS';
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !own(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !own(name)) old.setAttribute(name, value);
    morphChildren(old, fresh);
  }

  function morphChildren(old, fresh) {
    const rest = [...old.childNodes];
    const pairs = [...fresh.childNodes].map((node) => {
      const at = rest.findIndex((own) => alike(own, node));
      return [at < 0 ? null : rest.splice(at, 1)[0], node];
    });
    for (const gone of rest) gone.remove();
    let at = old.firstChild;
    for (const [own, node] of pairs) {
      if (!own) { old.insertBefore(node, at); continue; }
      if (own === at) at = at.nextSibling; else old.insertBefore(own, at);
      morph(own, node);
    }
  }

  function parsed(html) {
    const holder = document.createElement('template');
    holder.innerHTML = html;
    localise(holder.content);
    return holder.content;
  }

  /** Puts HTML in the place of what an element holds. */
  function put(element, html) {
    const focused = element.contains(document.activeElement);
    morphChildren(element, parsed(html));
    return focused && !element.contains(document.activeElement);
  }

  // ---- The list -------------------------------------------------------------------------------

  // What is shown has its digest beside it (data-seen), and both change together. A stream begins from
  // that digest, and a list that was asked for ends the stream before it and begins another one. So
  // an answer that is older than what a stream said is set right by the first event of the next.
  const list = $('#requests');
  const state = { query: list?.dataset.query ?? '', source: null, timer: null, asking: null, anew: false, away: false };
  const seen = () => $('#rows').dataset.seen ?? '';

  /** The list as it is now; `anew`: not what was there before with something changed. */
  function show(html, anew = false) {
    const content = parsed(html);
    const rows = [...$('#rows', content).children];
    if (list.hasAttribute('data-one')) { showOne(rows); return; }
    const known = new Map([...$('#rows').children].map((row) => [row.dataset.id, row.dataset.status]));
    if (rows.some((row) => row.dataset.kept !== undefined && !known.has(row.dataset.id))) { refresh(); return; }
    const changed = rows.filter((row) => row.dataset.status && row.dataset.status !== known.get(row.dataset.id));
    if (!anew) for (const row of changed) if (!known.has(row.dataset.id)) row.classList.add('new');
    const told = changed.filter((row) => known.has(row.dataset.id)).map((row) => [row.dataset.status, daysIn(row.dataset.what)]);
    const part = $('#list-part');
    const focused = part.contains(document.activeElement);
    const row = document.activeElement?.closest('#rows > li');
    morphChildren(part, content);
    if (focused && !part.contains(document.activeElement)) (row?.isConnected ? $('a', row) : $('#requests-title')).focus();
    for (const [status, what] of told) {
      if (status === 'Completed') tell(`Ready: ${what}`);
      if (status === 'Failed') tell(`Failed: ${what}`);
    }
  }

  /** The same where one request has the page to itself. */
  function showOne(rows) {
    const own = $('#rows').firstElementChild;
    const row = rows.find((each) => each.dataset.id === own.dataset.id);
    const ended = ['Completed', 'Failed'].includes(row?.dataset.status);
    // Gone, or ended: then the rest of the page is another one, too.
    if (!row || ended && row.dataset.status !== own.dataset.status) location.reload(); else morph(own, row);
  }

  /** Asks for the list anew, and listens from there on. */
  async function refresh(anew = false) {
    state.source?.close();
    clearTimeout(state.timer);
    state.asking?.abort();
    state.anew ||= anew;
    const asking = state.asking = new AbortController();
    $('#list-part')?.classList.toggle('loading', state.anew);
    const html = await asked(asking.signal);
    await still();
    if (asking.signal.aborted) return;
    state.asking = null;
    state.away = html === null;
    offline();
    if (state.away) { later(); return; }
    if (list.dataset.part) show(html, state.anew);
    state.anew = false;
    $('#list-part')?.classList.remove('loading');
    if (!state.asking) listen();
  }

  /** The list as HTML; null if the service did not answer with it. */
  async function asked(signal) {
    try {
      const path = list.dataset.part ? `${list.dataset.part}?${state.query}` : location.href;
      const answer = await fetch(path, { signal, cache: 'no-store' });
      if (answer.status === 401) location.reload();
      return answer.ok ? await answer.text() : null;
    } catch {
      return null;
    }
  }

  /** Tries again in a while. */
  function later() {
    state.source?.close();
    clearTimeout(state.timer);
    state.timer = setTimeout(refresh, 3000);
  }

  function offline() {
    const note = $('#offline');
    if (note) note.hidden = navigator.onLine && !state.away;
  }

  function listen() {
    if (!list?.dataset.live || document.hidden || state.asking) return;
    // A request that has ended stays as it is.
    if (list.hasAttribute('data-one') && !list.hasAttribute('data-moving')) return;
    state.source?.close();
    clearTimeout(state.timer);
    const source = state.source = new EventSource(`${list.dataset.live}?${state.query}&seen=${encodeURIComponent(seen())}`);
    const own = (act) => (event) => whenStill(() => { if (source === state.source && source.readyState !== EventSource.CLOSED) act(event); });
    source.addEventListener('open', own(() => { state.away = false; offline(); }));
    source.addEventListener('list', own((event) => show(JSON.parse(event.data).html)));
    source.addEventListener('over', () => location.reload());
    source.addEventListener('error', () => {
      // Out of reach, too many streams, or signed out: the list itself tells which.
      if (source === state.source && !state.asking) later();
    });
  }

  function look(query) {
    state.query = query;
    list.dataset.query = query;
    history.replaceState(null, '', `${list.dataset.home}${query ? `?${query}` : ''}#requests`);
    const asked = new URLSearchParams(query);
    for (const control of narrow?.elements ?? []) {
      const value = asked.get(control.name) ?? '';
      if (control.name && control !== document.activeElement && control.value !== value) control.value = value;
    }
    const all = $('#show-all');
    if (all) all.hidden = !['list.state', 'list.report', 'list.text'].some((name) => asked.has(name));
    refresh(true);
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
    const row = link.closest('.request');
    $('.dialog-what', dialog).textContent = daysIn(row?.dataset.what ?? '');
    const moving = ['Queued', 'Processing'].includes(row?.dataset.status);
    const when = moving ? 'moving' : row && $('[data-key="download"]', row) ? 'file' : 'rest';
    for (const part of $$('[data-when]', dialog)) part.hidden = part.dataset.when !== when;
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

  // A menu at the end of the window is seen whole. This event does not bubble.
  document.addEventListener('toggle', ({ target }) => {
    if (target.open && target.matches('details.menu')) $('.menu-items', target).scrollIntoView({ block: 'nearest' });
  }, true);

  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    for (const menu of $$('details.menu[open]')) { menu.open = false; $('summary', menu).focus(); }
  });

  // ---- Begin ----------------------------------------------------------------------------------

  // For the form's script: it asks without leaving the page, too.
  window.payouts = { localise, amount, tell, send, put, still, refreshList: () => list?.dataset.part && refresh() };
  localise(document);
  if (list) {
    $('#requests-title')?.setAttribute('tabindex', '-1');
    window.addEventListener('offline', () => { later(); offline(); });
    window.addEventListener('online', () => refresh());
    // A page that nobody looks at holds no connection: browsers give a service few of them.
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) { state.source?.close(); clearTimeout(state.timer); } else listen();
    });
    window.addEventListener('pagehide', () => { state.source?.close(); clearTimeout(state.timer); });
    window.addEventListener('pageshow', (event) => { if (event.persisted) refresh(); });
    offline();
    listen();
  }
})();
