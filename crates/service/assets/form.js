// The form and the preview: see page.js for what all pages share.
