import { problem } from './problem.ts'

export const NameTaken = problem(409, 'name-taken', 'Name taken', {
  detail: 'The name is taken. Names that differ only in case, Unicode form or spaces are the same.',
  help: 'Choose another name, or rename or delete what has this one.'
})
export const AmbiguousName = problem(409, 'ambiguous-name', 'Ambiguous name', {
  detail: 'Several things that you can use have this name.',
  help: 'Send the id instead of the name.'
})
export const ExternalIdTaken = problem(409, 'external-id-taken', 'External id taken', {
  detail: 'You already have a credential with this external id.',
  help: 'Choose another external id, or delete the credential that has this one.'
})
export const EmailTaken = problem(409, 'email-taken', 'E-mail address taken', {
  detail: 'Another user has this e-mail address.',
  help: 'Use another address, or change the user who has this one.'
})
export const MainEnvironment = problem(409, 'main-environment', 'Main environment', {
  detail: 'The environment `main` cannot be deleted.',
  help: 'Delete the credential, or clear values of `main` by updating it.'
})
export const TooManyEnvironments = problem(409, 'too-many-environments', 'Too many environments', {
  detail: 'A credential has at most 32 environments.',
  help: 'Delete an environment that is not used, or create another credential.'
})
export const TooManyUsages = problem(409, 'too-many-usages', 'Too many usages', {
  detail: 'A credential has at most 10,000 usages.',
  help: 'Delete the usages of consumers that no longer depend on the credential.'
})
export const TooManyMembers = problem(409, 'too-many-members', 'Too many members', {
  detail: 'A project has at most 1,000 members.',
  help: 'Remove members who no longer need the project, or create another one.'
})
export const TokenRevoked = problem(409, 'token-revoked', 'Token revoked', {
  detail: 'The token that was created with this `Idempotency-Key` is no longer valid.',
  help: 'Create another token, with a new `Idempotency-Key`.'
})
export const TooManyTypes = problem(409, 'too-many-types', 'Too many types', {
  detail: 'A user has at most 200 credential types.',
  help: 'Delete types that are not used.'
})
export const TypeInUse = problem(409, 'type-in-use', 'Type in use', {
  detail: 'Credentials of this type prevent the change; `usageCount` says how many there are.',
  help:
    'Where `errors` lists fields, undo those changes, or first change the credentials. A type can be ' +
    'deleted once no credential has it.'
})
export const CredentialInUse = problem(409, 'credential-in-use', 'Credential in use', {
  detail: 'The `consumers` depend on this credential.',
  help:
    'Change the consumers, and delete their usages with ' +
    '`DELETE /api/v1/app-credentials/{id}/usages/{consumer}`.'
})
export const NewOwnerMayNotLink = problem(409, 'new-owner-may-not-link', 'Transfer not possible', {
  detail: 'No user with this address can take the credential.',
  help:
    'The new owner must be able to sign in, be an editor or above in each of the `projects`, and have no ' +
    'credential with the same name or external id.'
})
export const UserOwnsCredentials = problem(409, 'user-owns-credentials', 'User owns credentials', {
  detail: 'The user still owns credentials.',
  help: 'Transfer or delete their credentials first, or disable the user instead.'
})
export const LastOwner = problem(409, 'last-owner', 'Last owner', {
  detail: 'A project needs at least one owner.',
  help: 'Make another member an owner first.'
})
export const LastAdministrator = problem(409, 'last-administrator', 'Last administrator', {
  detail: 'The service needs at least one administrator who can sign in.',
  help: 'Make another user an administrator first.'
})
export const AlreadyMember = problem(409, 'already-member', 'Already a member', {
  detail: 'The user is already a member of the project.',
  help: 'Change the role of the member instead.'
})
