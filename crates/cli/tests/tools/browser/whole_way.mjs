// Sign in, choose, preview, ask, watch to Completed without a new page, download, check, copy as
// curl, $filter and command line and run them, run again, delete.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { accessible, config, keep, open, payouts, rows, saved, scenario, shell, signIn } from './drive.mjs';

await scenario(async () => {
  const page = await open({ permissions: ['clipboard-read', 'clipboard-write'] });
  await signIn(page, 'ann');

  // Choose. The page itself stays: a mark in its window must outlive all that follows.
  await page.evaluate('window.stays = true');
  await page.locator('#period').selectOption('36-months');
  await page.locator('.pick-name', { hasText: /^Payment status$/ }).click();
  await page.locator('input[name="value.paymentStatus"][value="SENT"]').check();

  // Signs are a choice with one format alone, and a comma is never both.
  const signs = page.locator('#signs');
  await page.locator('#format-hint').waitFor();
  await page.locator('#format').selectOption('csv.excel');
  await signs.waitFor();
  await page.locator('#decimal').selectOption('comma');
  assert.equal(await page.locator('#separator').inputValue(), 'semicolon');
  await page.locator('#separator').selectOption('comma');
  assert.equal(await page.locator('#decimal').inputValue(), 'point');
  await page.locator('#format').selectOption('xlsx');
  await signs.waitFor({ state: 'hidden' });

  // The filter that the controls write, and the preview that follows them.
  const filter = page.locator('#filter');
  await page.waitForFunction(() => document.querySelector('#filter').value.includes("'SENT'"));
  const preview = page.getByRole('region', { name: 'Preview' });
  await preview.getByRole('table').first().waitFor();
  const previewed = await preview.locator('.figures data').first().getAttribute('value');
  assert.ok(Number(previewed) > 0, `the preview has ${previewed} rows`);
  await accessible(page, 'form with a preview');

  // Ask, and watch.
  await page.getByRole('button', { name: 'Ask for the file' }).click();
  const row = rows(page).first();
  await row.getByText('Completed', { exact: true }).waitFor();
  assert.equal(await page.evaluate('window.stays'), true, 'the page was loaded anew');
  const id = await row.getAttribute('data-id');
  await accessible(page, 'list with a completed request');

  // Download; the manifest; both fit together.
  const file = await saved(page, () => row.getByRole('link', { name: 'Download' }).click());
  assert.match(file.name, /^payments-.*\.xlsx$/);
  await page.goto(`/exports/${id}`);
  const manifest = await saved(page, () => page.getByRole('link', { name: 'Save the manifest' }).click(), 'manifest.json');
  const described = JSON.parse(readFileSync(manifest.path, 'utf8'));
  assert.equal(String(described.rowCount), previewed, 'the preview promised another number of rows');
  assert.equal(described.requestId, id);
  payouts('verify', file.path, '--manifest', manifest.path);
  await page.getByText(described.files[0].sha256).waitFor();
  await accessible(page, 'details of a completed request');

  // What was copied works elsewhere, with a token that the page never shows.
  const copied = async (name) => {
    await page.goto('/');
    await page.evaluate('navigator.clipboard.writeText("nothing yet")');
    await rows(page).first().getByText('More').click();
    await rows(page).first().getByRole('link', { name }).click();
    await page.waitForFunction('navigator.clipboard.readText().then((text) => text !== "nothing yet")');
    return page.evaluate('navigator.clipboard.readText()');
  };
  const token = config.tokens.ann;
  assert.equal(await copied('Copy as $filter'), described.requestQueryString);
  const curl = await copied('Copy as curl');
  assert.ok(curl.includes('$PAYOUTS_TOKEN') && !curl.includes(token), curl);
  const answer = shell(curl, token);
  const asked = JSON.parse(answer.slice(answer.indexOf('{')));
  assert.equal(asked.requestQueryString, described.requestQueryString);
  const command = await copied('Copy as command line');
  assert.ok(!command.includes(token), command);
  shell(command, token);

  // What was asked elsewhere is in the list; run again makes another; delete takes one away.
  await page.goto('/');
  await page.locator(`#rows > li[data-id="${asked.requestId}"]`).waitFor();
  const before = await rows(page).count();
  await rows(page).last().getByText('More').click();
  await rows(page).last().getByRole('button', { name: 'Run again' }).click();
  await page.waitForFunction((n) => document.querySelectorAll('#rows > li').length === n + 1, before);
  const gone = page.locator(`#rows > li[data-id="${id}"]`);
  const link = await gone.getByRole('link', { name: 'Download' }).getAttribute('href');
  await gone.getByText('More').click();
  await gone.getByRole('link', { name: 'Delete' }).click();
  const dialog = page.getByRole('dialog', { name: 'Delete this request?' });
  await dialog.waitFor();
  await accessible(page, 'asking whether to delete');
  await dialog.getByRole('button', { name: 'Keep it' }).click();
  await gone.waitFor();
  await gone.getByText('More').click();
  await gone.getByRole('link', { name: 'Delete' }).click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await gone.waitFor({ state: 'detached' });
  assert.equal((await page.request.get(link)).status(), 404);
  keep('done', '');

  // Signed out, nothing is left to see.
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  const after = await page.request.get('/exports/' + asked.requestId, { maxRedirects: 0 });
  assert.ok([302, 303, 307, 401].includes(after.status()), `after signing out: ${after.status()}`);
});
