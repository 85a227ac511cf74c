{{/* Names. Everything is called after the release; the chart's name is added where it is not part of it. */}}
{{- define "remediator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "remediator.fullname" -}}
{{- $name := include "remediator.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "remediator.serviceAccount" -}}
{{- default (ternary (include "remediator.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "remediator.selector" -}}
app.kubernetes.io/name: {{ include "remediator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "remediator.labels" -}}
{{ include "remediator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The Role of one namespace, and of the cluster, are cluster-wide names: the release's namespace keeps them apart. */}}
{{- define "remediator.rbacName" -}}
{{- printf "%s-%s" (include "remediator.fullname" .) .Release.Namespace | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "remediator.subject" -}}
- kind: ServiceAccount
  name: {{ include "remediator.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* Who may post alerts, as the list `sources` of the configuration. Fails where nobody has been asked for. */}}
{{- define "remediator.sources" -}}
{{- $webhook := .Values.webhook -}}
{{- $given := .Values.config.sources -}}
{{- if and $given (or $webhook.existingSecret $webhook.auth) -}}
{{- fail "remediator: give either webhook.* or config.sources, not both" -}}
{{- else if and $webhook.existingSecret $webhook.auth -}}
{{- fail "remediator: webhook.existingSecret together with webhook.auth=none; remove one of them" -}}
{{- else if $given -}}
{{- range $given -}}
{{- if not (or .tokens .basic (eq (toString .auth) "none")) -}}
{{- fail (printf "remediator: config.sources: %s has neither tokens nor basic: anybody could start remediations. Add a token, or write auth: none" .name) -}}
{{- end -}}
{{- end -}}
{{- toYaml $given -}}
{{- else if $webhook.existingSecret -}}
- name: alertmanager
  tokens:
  {{- range $webhook.keys }}
    - /etc/remediator/secrets/{{ $webhook.existingSecret }}/{{ . }}
  {{- end }}
{{- else if eq $webhook.auth "none" -}}
- name: alertmanager
  auth: none
{{- else -}}
{{- fail "remediator: who may post alerts? Give webhook.existingSecret (a Secret whose key `token` holds the token of Alertmanager), or webhook.auth=none to let anybody in" -}}
{{- end -}}
{{- end -}}

{{/* The configuration file: what follows from the other values, then what the user wrote, which wins. */}}
{{- define "remediator.config" -}}
{{- $folders := list -}}
{{- if .Values.playbooks.starter -}}{{- $folders = append $folders "/usr/share/remediator/playbooks" -}}{{- end -}}
{{- if .Values.playbooks.files -}}{{- $folders = append $folders "/etc/remediator/playbooks/release" -}}{{- end -}}
{{- range .Values.playbooks.configMaps -}}{{- $folders = append $folders (printf "/etc/remediator/playbooks/%s" .) -}}{{- end -}}
{{- $config := dict
      "listen" (dict "port" 8080)
      "sources" (include "remediator.sources" . | fromYamlArray)
      "store" (dict "path" "/var/lib/remediator/remediator.db")
      "clusters" (list (dict "name" "default" "in_cluster" true))
      "playbooks" (ternary dict (dict "folders" $folders) (not (empty .Values.config.projects)))
      "observed_namespaces" .Values.read.namespaces -}}
{{- $config = mergeOverwrite $config (deepCopy .Values.config) -}}
{{- $policy := default dict $config.policy -}}
{{- $protected := default (list "kube-system") $policy.protected_namespaces -}}
{{- $_ := set $policy "protected_namespaces" (append $protected .Release.Namespace | uniq | sortAlpha) -}}
{{- $_ := set $config "policy" $policy -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Namespaces of this cluster where projects keep playbooks in ConfigMaps, one a line. */}}
{{- define "remediator.playbookNamespaces" -}}
{{- $config := include "remediator.config" . | fromYaml -}}
{{- $here := list -}}
{{- range $config.clusters -}}{{- if .in_cluster -}}{{- $here = append $here .name -}}{{- end -}}{{- end -}}
{{- $found := list -}}
{{- range $project := $config.projects -}}
{{- range (dig "playbooks" "config_maps" list $project) -}}
{{- if has (default (first $project.clusters) .cluster) $here -}}{{- $found = concat $found .namespaces -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- range $found | uniq | sortAlpha -}}
{{ . }}
{{ end -}}
{{- end -}}

{{/* Every NAME/KEY that the configuration refers to below /etc/remediator/secrets, one a line. */}}
{{- define "remediator.secretFiles" -}}
{{- $found := regexFindAll "/etc/remediator/secrets/[a-z0-9][-a-z0-9.]*/[-._a-zA-Z0-9]+" (include "remediator.config" .) -1 -}}
{{- range $found | uniq | sortAlpha -}}
{{ trimPrefix "/etc/remediator/secrets/" . }}
{{ end -}}
{{- end -}}
