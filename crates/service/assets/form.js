// The form and the preview: previews as one chooses, a filter that is checked as it is written, a
// search that needs no button, and asking without leaving the page. Everything works without it.
'use strict';

(() => {
  const slot = document.getElementById('form-slot');
  if (!slot) return;
  document.documentElement.classList.add('scripted');
  const root = document.body.dataset.root;
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const form = () => document.getElementById('ask');
  const shared = () => window.payouts ?? {};

  /** A thing to do a moment after the last call; the one before it is given up, its request too. */
  function later(ms, act) {
    let timer;
    let running;
    const call = (wait = ms) => {
      clearTimeout(timer);
      running?.abort();
      timer = setTimeout(async () => {
        const own = running = new AbortController();
        try { await act(own.signal); } catch (error) { if (error.name !== 'AbortError') throw error; }
      }, wait);
    };
    call.stop = () => { clearTimeout(timer); running?.abort(); };
    return call;
  }

  /** Sends the form as it is to a path. Answers what came, or null if nothing that can be used. */
  async function post(path, signal, change) {
    const body = new URLSearchParams(new FormData(form()));
    change?.(body);
    let answer;
    try {
      answer = await fetch(`${root}${path}`, { method: 'POST', body, signal, headers: { accept: 'application/json' } });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      return { failed: 'There is no connection to the service. The preview comes back with it.', retry: true };
    }
    if (answer.status === 401) { location.reload(); return { failed: 'Your session has ended.' }; }
    const json = (answer.headers.get('content-type') ?? '').startsWith('application/json');
    const content = json ? await answer.json() : await answer.text();
    if (answer.ok || (json && content.problems)) return { content };
    const page = json ? null : new DOMParser().parseFromString(content, 'text/html');
    return { failed: page?.querySelector('main p')?.textContent ?? `It did not work (${answer.status}).`, retry: answer.status === 429 || answer.status >= 500 };
  }

  // ---- What is wrong ---------------------------------------------------------------------------

  function control(name) {
    return document.getElementById(name);
  }

  function setProblems(problems) {
    const wrong = new Map();
    for (const { control: name, message } of problems) if (!wrong.has(name)) wrong.set(name, message);
    for (const place of $$('[data-error]', form())) {
      const message = wrong.get(place.dataset.error) ?? '';
      wrong.delete(place.dataset.error);
      if (place.textContent !== message) place.textContent = message;
      place.hidden = !message;
      const input = control(place.dataset.error);
      if (input?.matches('input, select, textarea')) {
        if (message) input.setAttribute('aria-invalid', 'true'); else input.removeAttribute('aria-invalid');
      }
      const folded = place.closest('details');
      if (message && folded) folded.open = true;
    }
    document.getElementById('problems')?.remove();
    showPlace(problems.find((p) => p.place) ?? null);
    return [...wrong.values()];
  }

  /** The part of the filter that is wrong, and what may have been meant. */
  function showPlace(problem) {
    const holder = document.getElementById('filter-place');
    holder.hidden = !problem;
    holder.replaceChildren();
    if (!problem) return;
    const box = document.getElementById('filter');
    const chars = [...box.value];
    const { offset, length, nearest } = problem.place;
    const before = chars.slice(Math.max(0, offset - 60), offset).join('');
    const wrong = chars.slice(offset, offset + Math.max(1, length)).join('') || '⎵';
    const after = chars.slice(offset + Math.max(1, length), offset + Math.max(1, length) + 60).join('');
    const mark = document.createElement('mark');
    mark.textContent = wrong;
    holder.append(offset > 60 ? '…' : '', before, mark, after);
    if (!nearest.length) return;
    const suggest = document.createElement('div');
    suggest.className = 'suggest';
    suggest.append('Put in its place:');
    const quoted = /^['‘’]/.test(wrong);
    for (const name of nearest) {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'button small';
      button.textContent = name;
      button.addEventListener('click', () => {
        const text = quoted ? `'${name.replaceAll("'", "''")}'` : name;
        box.value = [...chars.slice(0, offset), text, ...chars.slice(offset + length)].join('');
        box.focus();
        const end = [...chars.slice(0, offset), text].join('').length;
        box.setSelectionRange(end, end);
        typed();
      });
      suggest.append(button);
    }
    holder.append(suggest);
  }

  // ---- The preview -----------------------------------------------------------------------------

  const area = document.getElementById('preview');
  const panel = document.getElementById('panel');
  const said = document.getElementById('preview-said');

  function note(text, kind = 'muted') {
    const p = document.createElement('p');
    p.className = kind === 'muted' ? 'muted' : `notice ${kind}`;
    p.textContent = text;
    panel.replaceChildren(p);
  }

  const preview = later(250, async (signal) => {
    area.setAttribute('aria-busy', 'true');
    const { content, failed, retry } = await post('/preview/panel', signal);
    await shared().still?.();
    if (signal.aborted) return;
    area.removeAttribute('aria-busy');
    if (failed) {
      note(failed, 'warn');
      if (retry) setTimeout(() => { if (!signal.aborted) preview(0); }, 3000);
      return;
    }
    const rest = setProblems(content.problems);
    if (content.filter !== undefined && !byFilter()) document.getElementById('filter').value = content.filter;
    if (content.days !== undefined) {
      const days = document.getElementById('days');
      days.textContent = content.days;
      delete days.dataset.local;
      shared().localise?.(days.parentElement);
    }
    if (content.html === undefined) {
      withoutPreview(content.problems, rest);
      return;
    }
    // A menu that is open, or has the focus, stays where it is.
    keepingTheList(() => { if (shared().put(panel, content.html)) area.querySelector('h2').focus(); });
    if (said.textContent !== content.said) said.textContent = content.said;
  });

  /** Whoever looks at the list below, and chooses nothing, still sees it when the preview has grown. */
  function keepingTheList(act) {
    const top = () => document.getElementById('requests')?.getBoundingClientRect().top ?? Infinity;
    const before = top();
    act();
    if (before > innerHeight || form().contains(document.activeElement)) return;
    // After the browser has done what it does by itself about it.
    requestAnimationFrame(() => requestAnimationFrame(() => scrollBy(0, top() - before)));
  }

  /** What was shown is not what is chosen now. */
  function withoutPreview(problems, rest) {
    area.removeAttribute('aria-busy');
    note(rest[0] ?? 'The preview comes back when what is marked is corrected.');
    said.textContent = problems[0]?.message ?? '';
  }

  // ---- The controls and the filter ---------------------------------------------------------------

  function byFilter() {
    return document.getElementById('use-filter').checked;
  }

  function use(filter) {
    $(`input[name="use"][value="${filter ? 'filter' : 'form'}"]`, form()).checked = true;
  }

  function rest(resting) {
    document.getElementById('controls').disabled = resting;
    document.getElementById('beyond').hidden = !resting;
    // Days that do not count are not said.
    if (resting) document.getElementById('days').textContent = '';
  }

  const check = later(300, async (signal) => {
    const { content, failed } = await post('/form/check', signal);
    await shared().still?.();
    if (signal.aborted || !byFilter()) return;
    // The preview says what keeps the service from answering, and tries again.
    if (failed) { preview(0); return; }
    const problems = content.problem ? [content.problem] : [];
    const beside = setProblems(problems);
    if (content.problem) { withoutPreview(problems, beside); return; }
    rest(!content.expressible);
    if (content.controls) putControls(content.controls);
    preview(0);
  });

  function putControls(html) {
    const old = document.getElementById('controls');
    const open = new Set($$('details[open]', old).map((d) => $('.pick-name', d).textContent));
    const holder = document.createElement('template');
    holder.innerHTML = html;
    const fresh = holder.content.firstElementChild;
    old.replaceWith(fresh);
    for (const details of $$('details', fresh)) details.open = open.has($('.pick-name', details).textContent);
    shared().localise?.(fresh);
    settle();
    offers();
  }

  // ---- What there is to choose from ---------------------------------------------------------------

  // A page that came before it was known asks for it, and takes in what the form then offers. Whatever
  // is chosen meanwhile is asked for anew with what was chosen, and what is being written stays.
  const offers = later(0, async (signal) => {
    const controls = document.getElementById('controls');
    if (!controls.hasAttribute('data-looking')) return;
    const { content, failed, retry } = await post('/form/controls', signal);
    await shared().still?.();
    if (signal.aborted || !controls.isConnected) return;
    if (failed) {
      document.getElementById('offered-notice').textContent = failed;
      if (retry) setTimeout(() => { if (!signal.aborted) offers(0); }, 3000);
      return;
    }
    if (takeIn(controls, content)) controls.removeAttribute('data-looking');
    else controls.addEventListener('focusout', () => offers(0), { once: true });
    settle();
  });

  /** Puts in what there is to choose from. Answers whether all of it could be. */
  function takeIn(controls, html) {
    const holder = document.createElement('template');
    holder.innerHTML = html;
    let all = true;
    for (const part of $$('[data-offered]', holder.content)) {
      const old = $(`[data-offered="${part.dataset.offered}"]`, controls);
      const focused = old.contains(document.activeElement) ? document.activeElement : null;
      if (focused?.matches('textarea, input:not([type="checkbox"])')) { all = false; continue; }
      if (part.nodeName === 'DETAILS') part.open = old.open;
      old.replaceWith(part);
      if (!focused) continue;
      const same = (each) => each.nodeName === focused.nodeName && each.name === focused.name && each.value === focused.value;
      ($$('summary, input, select', part).find(same) ?? $('summary, select', part))?.focus();
    }
    return all;
  }

  /** The filter was written: it counts from now on. */
  function typed() {
    use(true);
    preview.stop();
    area.setAttribute('aria-busy', 'true');
    check();
  }

  /** What depends on what is chosen, and not on the service. */
  function settle() {
    document.getElementById('between')?.classList.toggle('needed', document.getElementById('period').value === 'between');
    for (const day of $$('#between input')) day.disabled = document.getElementById('period').value !== 'between';
    const currency = document.getElementById('currency');
    for (const id of ['least', 'greatest']) {
      const input = document.getElementById(id);
      if (input) input.disabled = !currency.value && !input.value;
    }
    const hint = document.getElementById('amounts-hint');
    if (hint) hint.hidden = Boolean(currency.value);
    const format = document.getElementById('format').value;
    document.getElementById('signs').classList.toggle('needed', format === 'csv.excel');
    document.getElementById('format-hint').classList.toggle('needed', format === '');
    for (const pick of $$('details.pick', form())) summarise(pick);
  }

  function summarise(pick) {
    const value = $('.pick-value', pick);
    if (pick.id === 'advanced') return;
    if (pick.id === 'file') {
      const own = $('input[name="columns"][value="own"]', pick).checked;
      const label = $('input[name="columns"]:checked', pick).nextElementSibling.textContent;
      value.textContent = own ? `${$$('input[name="column"]:checked', pick).length} of ${$$('input[name="column"]', pick).length}` : label;
      pick.classList.toggle('chosen', !$('input[name="columns"][value="usual"]', pick).checked);
      return;
    }
    const lines = $('textarea', pick)?.value.split('\n').map((l) => l.trim()).filter(Boolean) ?? [];
    const ticked = $$('input[type="checkbox"]:checked', pick).map((box) => (box.nextElementSibling.firstChild?.textContent ?? '').trim());
    const chosen = [...lines, ...ticked];
    pick.classList.toggle('chosen', chosen.length > 0);
    if (value.dataset.all === undefined) value.dataset.all = 'Any';
    value.textContent = chosen.length === 0 ? value.dataset.all : chosen.length < 3 ? chosen.join(', ') : `${chosen.length} chosen`;
  }

  const find = later(200, async (signal) => {
    const { content } = await post('/form/participants', signal);
    await shared().still?.();
    if (signal.aborted || typeof content !== 'string') return;
    document.getElementById('participants').innerHTML = content;
    settle();
  });

  /** Another report: its form in place of this one, with what both have. */
  const change = later(0, async (signal) => {
    const report = change.to;
    const { content, failed } = await post('/form', signal, (body) => {
      body.set('report', report);
      // Columns and filters of one report are not those of the other.
      for (const name of ['use', 'filter', 'date', 'columns', 'column', 'currency', 'least', 'greatest']) body.delete(name);
    });
    if (failed) { location.href = `${root}/?report=${report}`; return; }
    await shared().still?.();
    if (signal.aborted) return;
    slot.innerHTML = content;
    begin();
    $(`[data-report="${report}"]`, slot).focus();
    preview(0);
  });

  // ---- Events ----------------------------------------------------------------------------------

  function changed(event) {
    const target = event.target;
    const own = target.id === 'chart' || form()?.contains(target);
    if (!own || !target.name) return;
    if (target.id === 'find') { if (event.type === 'input') find(); return; }
    if (target.id === 'filter') { if (event.type === 'input') typed(); return; }
    if (target.name === 'column' && event.type === 'change') $('input[name="columns"][value="own"]', form()).checked = true;
    if (target.name === 'use') {
      if (byFilter()) { typed(); return; }
      back();
      return;
    }
    if (target.name === 'key' || target.name === 'csrf') return;
    if (target.closest('#controls')) { use(false); offers(100); }
    settle();
    // A comma cannot be both; the one that was chosen last stays.
    const [separator, decimal] = ['separator', 'decimal'].map((id) => document.getElementById(id));
    if (separator.value === 'comma' && decimal.value === 'comma') {
      if (target === separator) decimal.value = 'point'; else separator.value = 'semicolon';
    }
    if (['format', 'separator', 'decimal'].includes(target.name)) return;
    // What is written comes with every letter, what is ticked at once.
    preview(event.type === 'input' && target.matches('textarea, input:not([type="checkbox"], [type="radio"])') ? 400 : 60);
  }

  /** The controls count again. */
  async function back() {
    if (document.getElementById('beyond').hidden) { use(false); preview(0); return; }
    const { content } = await post('/form', undefined, (body) => body.set('do', 'form'));
    if (typeof content !== 'string') return;
    slot.innerHTML = content;
    begin();
    document.getElementById('period').focus();
    preview(0);
  }

  document.addEventListener('input', changed);
  document.addEventListener('change', (event) => {
    if (event.target.matches('select, input[type="checkbox"], input[type="radio"], input[type="date"]')) changed(event);
  });

  document.addEventListener('click', (event) => {
    const link = event.target.closest?.('[data-report]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.hasAttribute('aria-current')) return;
    change.to = link.dataset.report;
    change();
  });

  document.addEventListener('keydown', (event) => {
    // Enter in the search searches, and does not ask for a file.
    if (event.key === 'Enter' && event.target.id === 'find') { event.preventDefault(); find(0); }
  });

  document.addEventListener('submit', async (event) => {
    if (event.target !== form()) return;
    event.preventDefault();
    if (event.submitter?.hasAttribute('data-back')) { back(); return; }
    if (event.submitter?.value === 'preview') { preview(0); return; }
    const button = $('button.primary', form());
    if (button.disabled) return;
    button.disabled = true;
    const { content, failed } = await post('/exports');
    button.disabled = false;
    if (failed) { tell(failed); return; }
    if (content.problems.length) {
      const rest = setProblems(content.problems);
      if (rest.length) tell(rest[0]);
      $('[aria-invalid="true"]', form())?.focus();
      return;
    }
    // The next one is another request.
    $('input[name="key"]', form()).value = newKey();
    tell('Asked for. The file appears in the list below when it is ready.');
    if (document.getElementById('requests')) shared().refreshList?.();
    else location.href = `${root}/?asked=${content.requestId}#requests`;
  });

  function tell(text) {
    if (shared().tell) shared().tell(text); else said.textContent = text;
  }

  function newKey() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  }

  // ---- Begin -----------------------------------------------------------------------------------

  function begin() {
    const zone = document.getElementById('timeZone');
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (own && zone.value === zone.dataset.default && !zone.dataset.kept) zone.value = own;
    shared().localise?.(slot);
    settle();
    offers();
  }

  begin();
  // A form that came back wrong is left as it is until something is changed.
  if (!document.getElementById('problems')) preview(0);
  window.addEventListener('pagehide', () => { preview.stop(); check.stop(); find.stop(); offers.stop(); });
  window.addEventListener('pageshow', (event) => { if (event.persisted) { settle(); preview(0); offers(); } });
  window.addEventListener('online', () => preview(0));
})();
