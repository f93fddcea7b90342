// How a browser is started, so that it asks for nothing by itself: no updates, no accounts, no lists, no
// first-run pages.
export const ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
