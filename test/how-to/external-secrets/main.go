// Reads the YAML of docs/how-to/external-secrets.md, and processes each ExternalSecret like the webhook provider
// of External Secrets Operator: templates with text/template and sprig, values with jsonpath.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/PaesslerAG/jsonpath"
	"gopkg.in/yaml.v3"
)

type remoteRef struct{ Key, Version, Property string }

type manifest struct {
	Kind     string
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	StringData map[string]string `yaml:"stringData"`
	Spec       struct {
		Provider struct {
			Webhook struct {
				Method, URL, Body string
				Headers           map[string]string
				Result            struct {
					JSONPath string `yaml:"jsonPath"`
				}
				Secrets []struct {
					Name      string
					SecretRef struct{ Name string } `yaml:"secretRef"`
				}
			}
		}
		SecretStoreRef struct{ Name string } `yaml:"secretStoreRef"`
		Data           []struct {
			SecretKey string    `yaml:"secretKey"`
			RemoteRef remoteRef `yaml:"remoteRef"`
		}
		DataFrom []struct{ Extract remoteRef } `yaml:"dataFrom"`
	}
}

type templateData map[string]map[string]string

var errNoSecret = errors.New("NoSecretError")

func render(text string, data templateData) (string, error) {
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	parsed, err := template.New("webhooktemplate").Funcs(functions).Parse(text)
	if err != nil {
		return "", err
	}
	var result strings.Builder
	err = parsed.Execute(&result, data)
	return result.String(), err
}

// dataFor returns the data for templates. Templates of URLs need escaped values, others plain ones.
func dataFor(ref remoteRef, store manifest, secrets map[string]manifest, escape func(string) string) (templateData, error) {
	data := templateData{"remoteRef": {
		"key": escape(ref.Key), "version": escape(ref.Version), "property": escape(ref.Property),
	}}
	for _, one := range store.Spec.Provider.Webhook.Secrets {
		secret := secrets[one.SecretRef.Name]
		if secret.Metadata.Labels["external-secrets.io/type"] != "webhook" {
			return nil, errors.New("secret does not contain the needed label")
		}
		data[one.Name] = secret.StringData
	}
	return data, nil
}

func fetch(ref remoteRef, store manifest, secrets map[string]manifest) (any, error) {
	webhook := store.Spec.Provider.Webhook
	escaped, err := dataFor(ref, store, secrets, url.QueryEscape)
	if err != nil {
		return nil, err
	}
	raw, err := dataFor(ref, store, secrets, func(text string) string { return text })
	if err != nil {
		return nil, err
	}
	address, err := render(webhook.URL, escaped)
	if err != nil {
		return nil, err
	}
	body, err := render(webhook.Body, raw)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(webhook.Method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, text := range webhook.Headers {
		value, err := render(text, raw)
		if err != nil {
			return nil, err
		}
		request.Header.Add(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return nil, errNoSecret
	}
	if response.StatusCode < 200 || response.StatusCode >= 300 {
		return nil, fmt.Errorf("endpoint gave error %s", response.Status)
	}
	bytes, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var answer any
	if err := json.Unmarshal(bytes, &answer); err != nil {
		return nil, err
	}
	path, err := render(webhook.Result.JSONPath, raw)
	if err != nil {
		return nil, err
	}
	return jsonpath.Get(path, answer)
}

func textOf(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', 0, 64)
	default:
		return fmt.Sprint(value)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	page, err := os.ReadFile(os.Getenv("PAGE"))
	must(err)
	secrets, stores, externals := map[string]manifest{}, map[string]manifest{}, []manifest{}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		var one manifest
		must(yaml.Unmarshal([]byte(block[1]), &one))
		switch one.Kind {
		case "Secret":
			one.StringData = map[string]string{"project": os.Getenv("PROJECT"), "token": os.Getenv("TOKEN")}
			secrets[one.Metadata.Name] = one
		case "SecretStore":
			webhook := &one.Spec.Provider.Webhook
			webhook.URL = strings.Replace(webhook.URL, "https://latchkey.example.org", os.Getenv("BASE"), 1)
			stores[one.Metadata.Name] = one
		case "ExternalSecret":
			externals = append(externals, one)
		}
	}
	result := map[string]string{}
	for _, external := range externals {
		store := stores[external.Spec.SecretStoreRef.Name]
		keyOf := func(ref remoteRef) remoteRef {
			if key := os.Getenv("KEY"); key != "" {
				ref.Key = key
			}
			return ref
		}
		for _, from := range external.Spec.DataFrom {
			found, err := fetch(keyOf(from.Extract), store, secrets)
			values, isMap := found.(map[string]any)
			if err == nil && !isMap {
				err = fmt.Errorf("wrong type: %T", found)
			}
			if err != nil {
				result["dataFrom"] = err.Error()
			}
			for name, value := range values {
				result[name] = textOf(value)
			}
		}
		for _, one := range external.Spec.Data {
			if property := os.Getenv("PROPERTY"); property != "" {
				one.RemoteRef.Property = property
			}
			value, err := fetch(keyOf(one.RemoteRef), store, secrets)
			if err != nil {
				result[one.SecretKey] = err.Error()
			} else {
				result[one.SecretKey] = textOf(value)
			}
		}
	}
	must(json.NewEncoder(os.Stdout).Encode(result))
}
