// Who is signed in decides what is shown: the pages, or how to sign in.
import { useEffect, useRef, useState } from 'preact/hooks';
import { sessionChanged, whenSignedOut } from './api/client.js';
import { currentSession, hasLink, type Session, signIn, takeLink } from './api/session.js';
import { SignInPage } from './pages/sign-in/page.js';
import { Shell } from './shell.js';
import { Failure, Loading } from './ui/states.js';

type State =
  | { readonly is: 'starting' }
  | { readonly is: 'out'; readonly why?: string | undefined }
  | { readonly is: 'in'; readonly session: Session }
  | { readonly is: 'failed'; readonly error: Error };

export function App() {
  const [state, setState] = useState<State>({ is: 'starting' });
  const turn = useRef(0);
  const become = (next: State) => {
    turn.current += 1;
    sessionChanged();
    setState(next);
  };
  const start = () => {
    become({ is: 'starting' });
    const own = turn.current;
    // A link that was opened since has an answer of its own.
    const answered = (next: State) => {
      if (turn.current === own) become(next);
    };
    enter().then(answered, (error: Error) => answered({ is: 'failed', error }));
  };
  useEffect(() => {
    // A call that was on its way while its operator signed out is refused after that: what he is told stays.
    whenSignedOut(() => setState((now) => (now.is === 'in' ? { is: 'out', why: 'Your session has ended.' } : now)));
    // A link that is opened in a tab that shows the page already. Other fragments are places in the page.
    addEventListener('hashchange', () => {
      if (hasLink()) start();
    });
    start();
  }, []);
  switch (state.is) {
    case 'starting':
      return <Loading what="Ringfence" />;
    case 'failed':
      return <Failure error={state.error} retry={start} />;
    case 'out':
      return <SignInPage why={state.why} />;
    case 'in':
      return <Shell session={state.session} onSignedOut={() => become({ is: 'out', why: 'You have signed out.' })} />;
  }
}

async function enter(): Promise<State> {
  const link = takeLink();
  if (link !== undefined) {
    try {
      return { is: 'in', session: await signIn(link) };
    } catch (error) {
      // A used link does not sign anybody out.
      const session = await currentSession();
      if (session !== undefined) return { is: 'in', session };
      return { is: 'out', why: error instanceof Error ? error.message : String(error) };
    }
  }
  const session = await currentSession();
  return session === undefined ? { is: 'out' } : { is: 'in', session };
}
