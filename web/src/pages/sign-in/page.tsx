// Nobody is signed in: how to get in.
export function SignInPage({ why }: { readonly why?: string | undefined }) {
  return (
    <main class="sign-in">
      <img src="/icon.svg" alt="" width="48" height="48" />
      <h1>Ringfence</h1>
      {why && (
        <p class="notice warning" role="alert">
          {why}
        </p>
      )}
      <p>This page opens by a link that works once and for a few minutes. In a shell that reaches the controller:</p>
      <pre class="code">ringfence web</pre>
      <p class="muted">
        Open the link that it prints; in another tab too, this page then goes on where it was. <code>make run</code>{' '}
        prints one as it starts. Your certificate decides who you are: what you do here is written to the audit log
        under its name.
      </p>
    </main>
  );
}
