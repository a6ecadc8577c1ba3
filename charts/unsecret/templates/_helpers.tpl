{{/* The first part of every name. */}}
{{- define "unsecret.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Names inside the namespace. Its suffix keeps a Service's name within 63 letters. */}}
{{- define "unsecret.injector" -}}
{{ include "unsecret.fullname" . }}-injector
{{- end -}}

{{/* Names outside of namespaces carry the release's: two releases of one name do not take each other's objects. */}}
{{- define "unsecret.clusterwide" -}}
{{ include "unsecret.injector" . }}-{{ .Release.Namespace }}
{{- end -}}

{{/* The Secret with the webhook's certificate. */}}
{{- define "unsecret.tlsSecret" -}}
{{- if eq .Values.injector.tls.mode "existingSecret" -}}
{{ .Values.injector.tls.existingSecret }}
{{- else -}}
{{ include "unsecret.injector" . }}-tls
{{- end -}}
{{- end -}}

{{- define "unsecret.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "unsecret.injector" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{/* What selectors match: must never change between two versions of the chart. */}}
{{- define "unsecret.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: injector
{{- end -}}

{{- define "unsecret.labels" -}}
{{- $own := dict
    "app.kubernetes.io/name" (default .Chart.Name .Values.nameOverride)
    "app.kubernetes.io/instance" .Release.Name
    "app.kubernetes.io/version" .Chart.AppVersion
    "app.kubernetes.io/managed-by" .Release.Service
    "app.kubernetes.io/part-of" "unsecret"
    "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{/* Our own win: selectors rely on them. */}}
{{- merge $own .Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "unsecret.image" -}}
{{- $name := .Values.image.repository -}}
{{- with .Values.image.registry }}{{- $name = printf "%s/%s" . $name }}{{- end -}}
{{- $name = printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- with .Values.image.digest }}{{- $name = printf "%s@%s" $name . }}{{- end -}}
{{- $name -}}
{{- end -}}

{{/* The settings of injection, as the webhook and `unsecret inject --values` read them. */}}
{{- define "unsecret.settings" -}}
{{ pick .Values "image" "sidecar" "defaults" "platform" | toYaml }}
{{- end -}}

{{/* Namespaces that are never injected. A webhook that had to admit its own pods could not start again. */}}
{{- define "unsecret.namespaceSelector" -}}
{{- $theirs := .Values.injector.namespaceSelector -}}
{{- $ours := list (dict "key" "kubernetes.io/metadata.name" "operator" "NotIn" "values" (list .Release.Namespace "kube-system" "kube-node-lease" | uniq)) -}}
{{- with $theirs.matchLabels }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
matchExpressions:
  {{- concat $ours (default list $theirs.matchExpressions) | toYaml | nindent 2 }}
{{- end -}}

{{/* Pods that ask for it. Everything but "false" comes to the webhook, so that a misspelt "True" is refused and not passed over. */}}
{{- define "unsecret.objectSelector" -}}
{{- $theirs := .Values.injector.objectSelector -}}
{{- $ours := list
    (dict "key" "unsecret.dev/inject" "operator" "Exists")
    (dict "key" "unsecret.dev/inject" "operator" "NotIn" "values" (list "false")) -}}
{{- if .Values.injector.revision }}
{{- $ours = append $ours (dict "key" "unsecret.dev/rev" "operator" "In" "values" (list .Values.injector.revision)) }}
{{- else }}
{{- $ours = append $ours (dict "key" "unsecret.dev/rev" "operator" "DoesNotExist") }}
{{- end }}
{{- with $theirs.matchLabels }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
matchExpressions:
  {{- concat $ours (default list $theirs.matchExpressions) | toYaml | nindent 2 }}
{{- end -}}

{{/* What one key's pattern cannot say: where two settings, or the cluster, do not go together. */}}
{{- define "unsecret.checks" -}}
{{- $injector := .Values.injector -}}
{{- if and $injector.hostNetwork (eq (int $injector.securePort) 10250) }}
{{- fail "injector.securePort is 10250, which the kubelet has on every node: with injector.hostNetwork choose another, such as 10260" }}
{{- end }}
{{- if eq (int $injector.securePort) (int $injector.adminPort) }}
{{- fail (printf "injector.securePort and injector.adminPort are both %d: choose two ports" (int $injector.securePort)) }}
{{- end }}
{{- $budget := $injector.podDisruptionBudget }}
{{- if and $budget.enabled (gt (int $injector.replicas) 1) (not (kindIs "string" $budget.minAvailable)) (ge (int $budget.minAvailable) (int $injector.replicas)) }}
{{- fail (printf "injector.podDisruptionBudget.minAvailable is %d with %d injector.replicas, so that no node could be drained: keep it below" (int $budget.minAvailable) (int $injector.replicas)) }}
{{- end }}
{{- if and (eq $injector.tls.mode "certManager") $injector.enabled (not (.Capabilities.APIVersions.Has "cert-manager.io/v1")) }}
{{- fail "injector.tls.mode is certManager, but this cluster has no cert-manager.io/v1: install cert-manager first, or leave injector.tls.mode at self" }}
{{- end }}
{{- range $key, $kind := dict "podMonitor" "PodMonitor" "serviceMonitor" "ServiceMonitor" "prometheusRule" "PrometheusRule" }}
{{- if and (get $.Values.metrics $key).enabled (not ($.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" $kind))) }}
{{- fail (printf "metrics.%s.enabled is true, but this cluster has no monitoring.coreos.com/v1 %s: install the Prometheus operator first, or leave it false" $key $kind) }}
{{- end }}
{{- end }}
{{- if and .Values.validation.policy.enabled (semverCompare "<1.30.0-0" .Capabilities.KubeVersion.Version) }}
{{- fail (printf "validation.policy.enabled is true, but Kubernetes %s has no ValidatingAdmissionPolicy v1: it came with 1.30" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- end -}}
